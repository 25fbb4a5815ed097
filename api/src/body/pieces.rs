//! Collecting a body from chunks.

/// Size of a piece in bytes. A body that fits into one piece is not copied again.
const PIECE: usize = 64 * 1024;

/// The body so far, copied into pieces. Keeping the chunks would cost more memory than they contain if they are tiny, and a single
/// growing buffer would need up to three times its size while it is reallocated.
#[derive(Debug, Default)]
pub struct Pieces {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl Pieces {
    /// Number of bytes.
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

    /// The whole body. Each piece is freed as soon as it has been copied.
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
        fn a_joined_body_equals_its_chunks(sizes in prop::collection::vec(0_usize..200_000, 0..6)) {
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
