//! Memory for an answer that must not grow beyond a limit.

use std::io::{self, Write};

/// Collects what is written, up to a limit.
pub struct Bounded {
    bytes: Vec<u8>,
    most: usize,
    is_full: bool,
}

impl Bounded {
    /// Room for `most` bytes, taken as it is needed.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, is_full: false }
    }

    /// Whether something did not fit any more.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            self.is_full = true;
            // What is there already serves nobody.
            self.bytes = Vec::new();
            return Err(io::Error::other("the answer is too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_an_error_and_leaves_nothing() {
        let mut bounded = Bounded::new(4);
        assert!(bounded.write_all(b"1234").is_ok() && !bounded.is_full());
        assert!(bounded.write_all(b"5").is_err() && bounded.is_full());
        assert!(bounded.into_bytes().is_empty());
    }
}
