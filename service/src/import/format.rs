//! From the bytes of a file to lines of text: gzip, encodings, line ends.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use encoding_rs::WINDOWS_1252;
use flate2::bufread::MultiGzDecoder;

use crate::error::{Refusal, RefusalCode, Result};

/// The longest line, and the longest record of several lines, in bytes.
pub const MAX_LINE: usize = 1 << 20;
/// One byte more shows that a line is too long.
const READ_LIMIT: u64 = (1 << 20) + 1;
/// Of a line that is too long, as much is kept to show it.
const SHOWN: usize = 8_000;
/// As much of a file is looked at to know what it is.
const HEAD: u64 = 64 << 10;

const GZIP: &[u8] = &[0x1F, 0x8B];
const BOM: &[u8] = &[0xEF, 0xBB, 0xBF];
const UTF_16: [&[u8]; 2] = [&[0xFF, 0xFE], &[0xFE, 0xFF]];
const ZIP: &[u8] = b"PK\x03\x04";

/// Where bytes come from.
pub type Bytes = Box<dyn Read + Send>;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: i64,
    /// What stands in it, without its end.
    pub text: String,
    /// It is longer than [`MAX_LINE`]: only its beginning is here.
    pub is_cut: bool,
    /// It ends with a carriage return and a line feed: within a cell, both are part of it.
    pub has_return: bool,
}

/// The lines of a file, one after the other in constant memory.
///
/// A line that is not UTF-8 is Windows-1252. That is decided for each line: a file may be plain ASCII for megabytes before its
/// first umlaut, and files that were put together from several may hold both.
pub struct Lines {
    input: Box<dyn BufRead + Send>,
    end: u8,
    number: i64,
    bytes: u64,
}

impl Lines {
    /// Looks at the beginning of a file, of which `most` bytes are read at most, unpacked.
    ///
    /// # Errors
    /// A refusal where it is a workbook or UTF-16; those of reading.
    pub fn open(input: Bytes, most: u64) -> Result<Self> {
        let (head, input) = peek(input, 2)?;
        let input: Bytes =
            if head.starts_with(GZIP) { Box::new(MultiGzDecoder::new(BufReader::new(input))) } else { input };
        let input: Bytes = Box::new(Bounded { input, left: most, most });
        let (head, input) = peek(input, HEAD)?;
        let refuse = |message| Err(Refusal::new(RefusalCode::Invalid, message).into());
        if head.starts_with(ZIP) {
            return refuse(
                "this is an Excel workbook or another ZIP archive: save the sheet as CSV (UTF-8) and import that",
            );
        }
        if UTF_16.iter().any(|mark| head.starts_with(mark)) {
            return refuse(
                "this file is UTF-16, which Excel calls Unicode text: save it as CSV (UTF-8) and import that",
            );
        }
        let mut input = BufReader::with_capacity(64 << 10, input);
        if head.starts_with(BOM) {
            input.read_exact(&mut [0; BOM.len()])?;
        }
        // Old programs on the Mac end lines with a carriage return alone.
        let end = if head.contains(&b'\r') && !head.contains(&b'\n') { b'\r' } else { b'\n' };
        Ok(Self { input: Box::new(input), end, number: 0, bytes: 0 })
    }

    /// The next line; `None` at the end of the file.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        if self.input.by_ref().take(READ_LIMIT).read_until(self.end, &mut bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes = self.bytes.saturating_add(bytes.len().try_into().unwrap_or(u64::MAX));
        let is_ended = bytes.last() == Some(&self.end);
        if is_ended {
            bytes.pop();
        }
        let is_cut = bytes.len() > MAX_LINE;
        if is_cut {
            if !is_ended {
                self.input.skip_until(self.end)?;
            }
            bytes.truncate(SHOWN);
        }
        let has_return = bytes.last() == Some(&b'\r');
        if has_return {
            bytes.pop();
        }
        let text = if is_cut { String::from_utf8_lossy(&bytes).into_owned() } else { decode(bytes) };
        Ok(Some(Line { number: self.number, text, is_cut, has_return }))
    }

    /// How many lines have been read.
    #[must_use]
    pub const fn number(&self) -> i64 {
        self.number
    }

    /// How many bytes these have, but for what was left out of lines that are too long.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Something about a file as a whole that is beyond a limit.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TooMuch(pub String);

/// Reads no more than so many bytes: a small file may unpack to any size.
struct Bounded {
    input: Bytes,
    left: u64,
    most: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        match self.left.checked_sub(read.try_into().unwrap_or(u64::MAX)) {
            Some(left) => self.left = left,
            None => {
                let message =
                    format!("unpacked, the file has more than {} bytes: split it into several files", self.most);
                return Err(io::Error::other(TooMuch(message)));
            }
        }
        Ok(read)
    }
}

fn decode(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| WINDOWS_1252.decode_without_bom_handling(error.as_bytes()).0.into_owned())
}

/// The first bytes of a file, and the whole of it.
fn peek(mut input: Bytes, most: u64) -> io::Result<(Vec<u8>, Bytes)> {
    let mut head = Vec::new();
    input.by_ref().take(most).read_to_end(&mut head)?;
    Ok((head.clone(), Box::new(Cursor::new(head).chain(input))))
}
