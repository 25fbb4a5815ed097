//! The thread that reads a file and hands over its rows.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::columns::{Columns, no_email_key};
use super::format::TooMuch;
use super::records::{Content, Format, Record, Records};
use super::{Chunk, ImportOptions, Issue, Source};
use crate::error::{Refusal, RefusalCode, Result, ServiceError};

/// As long the line with the names of the columns may be, in bytes.
const MAX_HEADER: usize = 64 << 10;

/// How many bytes of a file were read.
#[derive(Clone, Debug, Default)]
pub struct BytesRead(Arc<AtomicU64>);

impl BytesRead {
    /// How many they are.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counting {
    input: Box<dyn Read + Send>,
    bytes: BytesRead,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes.0.fetch_add(read.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(read)
    }
}

/// A file whose columns are known.
pub struct Reading {
    records: Records,
    columns: Columns,
}

impl Reading {
    /// Looks at the beginning of a file, of which `most` bytes are read at most, unpacked.
    ///
    /// # Errors
    /// A refusal where it cannot be read as recipients.
    pub async fn open(source: Source, options: ImportOptions, bytes: BytesRead, most: u64) -> Result<Self> {
        let input = Box::new(Counting { input: source.input, bytes });
        let open = move || {
            let mut records = Records::open(input, options.format, most).map_err(|error| as_damaged(error, 1))?;
            let columns = match records.format() {
                Format::Csv => Columns::of_header(&header(&mut records)?, options.mapping)?,
                Format::JsonLines => Columns::of_objects(options.mapping),
            };
            Ok(Self { records, columns })
        };
        let opened = tokio::task::spawn_blocking(open).await;
        opened.map_err(|error| ServiceError::Inconsistent(format!("a file could not be opened: {error}")))?
    }

    /// Reads all records behind line `after`, until the end or until nobody takes them any more.
    ///
    /// # Errors
    /// A refusal where the file is damaged, or none of its objects names an address; those of reading.
    pub fn run(mut self, after: i64, chunks: &mpsc::Sender<Chunk>) -> Result<()> {
        let mut chunk = Chunk::default();
        let mut without_email: Option<Map<String, Value>> = None;
        let mut is_first = self.records.format() == Format::JsonLines;
        let end = loop {
            let record = match self.records.next() {
                Ok(Some(record)) => record,
                Ok(None) => break Ok(()),
                Err(error) => break Err(as_damaged(error.into(), self.records.line())),
            };
            if record.line <= after {
                is_first = false;
                continue;
            }
            if is_first && let Ok(Content::Object(object)) = &record.content {
                if self.columns.has_email(object) {
                    is_first = false;
                } else if without_email.is_none() {
                    without_email = Some(object.clone());
                }
            }
            chunk.last_line = record.last_line;
            match self.columns.read(record) {
                Ok(row) => chunk.push_row(row),
                Err((record, reason)) => chunk.push_issue(Issue::new(record.line, &record.text, &reason)),
            }
            if chunk.is_full() {
                refuse_without_email(is_first, without_email.as_ref())?;
                if chunks.blocking_send(std::mem::take(&mut chunk)).is_err() {
                    return Ok(());
                }
                is_first = false;
            }
        };
        refuse_without_email(is_first, without_email.as_ref())?;
        // What stands before a place where the file cannot be read on is imported.
        if chunk.last_line > 0 {
            chunks.blocking_send(chunk).ok();
        }
        end
    }
}

/// Objects of which not one names an address are no recipients.
fn refuse_without_email(is_first: bool, object: Option<&Map<String, Value>>) -> Result<(), Refusal> {
    object.filter(|_| is_first).map_or(Ok(()), |object| Err(no_email_key(object)))
}

fn header(records: &mut Records) -> Result<Vec<String>> {
    match records.next().map_err(|error| as_damaged(error.into(), records.line()))? {
        Some(Record { text, line, .. }) if text.len() > MAX_HEADER => {
            let message = format!(
                "the line with the names of the columns (line {line}) is longer than {MAX_HEADER} bytes: shorten the names, or leave out columns"
            );
            Err(Refusal::new(RefusalCode::Invalid, message).into())
        }
        Some(Record { content: Ok(Content::Cells(cells)), .. }) => Ok(cells),
        Some(Record { content: Err(reason), line, .. }) => {
            let message = format!("the line with the names of the columns (line {line}) cannot be read: {reason}");
            Err(Refusal::new(RefusalCode::Invalid, message).into())
        }
        _ => Err(Refusal::new(RefusalCode::Invalid, "the file is empty").into()),
    }
}

/// A file that is cut off or damaged, or too much of a file, is the user's to repair; a disk that fails is not. `line` is the last one
/// that was read.
pub(crate) fn as_damaged(error: ServiceError, line: i64) -> ServiceError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let ServiceError::Io(error) = error else { return error };
    if let Some(TooMuch(message)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return Refusal::new(RefusalCode::Invalid, format!("line {line}: {message}")).into();
    }
    if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) {
        return Refusal::new(RefusalCode::Invalid, format!("the file is damaged or incomplete: {error}")).into();
    }
    error.into()
}
