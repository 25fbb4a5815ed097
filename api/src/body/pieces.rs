//! A body that is put together from chunks.

/// As large is a piece. A body that fits into one is not copied again.
const PIECE: usize = 64 * 1024;

/// The chunks of a body so far, copied into pieces: chunks of a few bytes would take more memory than they hold, and one piece that
/// grows is copied while it does.
#[derive(Debug, Default)]
pub struct Pieces {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Pieces {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.full.len() * PIECE + self.last.len()
    }

    /// Adds a chunk.
    pub fn push(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let room = PIECE - self.last.len();
            let (now, later) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
            self.last.extend_from_slice(now);
            chunk = later;
            if self.last.len() == PIECE {
                self.full.push(std::mem::take(&mut self.last));
            }
        }
    }

    /// The whole body. Each piece is given back as soon as it has been copied.
    pub fn join(self) -> Vec<u8> {
        if self.full.is_empty() {
            return self.last;
        }
        let mut body = Vec::with_capacity(self.len());
        for piece in self.full.into_iter().chain([self.last]) {
            body.extend_from_slice(&piece);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_body_is_its_chunks(sizes in prop::collection::vec(0_usize..200_000, 0..6)) {
            let mut pieces = Pieces::default();
            let mut expected = Vec::new();
            for (number, size) in sizes.into_iter().enumerate() {
                let chunk: Vec<u8> = (0_u8..251).cycle().skip(number).take(size).collect();
                pieces.push(&chunk);
                expected.extend(chunk);
                prop_assert_eq!(pieces.len(), expected.len());
            }
            let body = pieces.join();
            prop_assert!(body == expected);
        }
    }
}
