//! From lines to records: CSV, whose quoted cells may span lines, and JSON Lines.
//!
//! CSV is taken apart here and not by a library because a broken line must cost that line only: a quotation mark that is never
//! closed would make a library read the rest of the file as one cell. Here the line is reported, and reading goes on behind it.

use std::collections::VecDeque;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::format::{Bytes, Line, Lines, MAX_LINE, TooMuch};
use crate::error::{Refusal, RefusalCode, Result};

/// How records are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Format {
    /// A header line and cells, separated by commas, semicolons or tabs.
    Csv,
    /// A JSON object on each line.
    JsonLines,
}

/// What a file holds at some place.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The line that it begins on.
    pub line: i64,
    /// The line that it ends on.
    pub last_line: i64,
    /// As it stands in the file.
    pub text: String,
    /// What it says, or why nobody can tell.
    pub content: Result<Content, String>,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The cells of a line of CSV.
    Cells(Vec<String>),
    /// A JSON object.
    Object(Map<String, Value>),
}

/// The records of a file.
pub struct Records {
    lines: Lines,
    /// Lines that were read ahead and given back.
    waiting: VecDeque<Line>,
    /// Between cells; `None`: JSON Lines.
    delimiter: Option<char>,
    /// How many bytes were given back, in all.
    given_back: u64,
}

/// As many columns a record may have.
pub const MAX_COLUMNS: usize = 500;
/// As long a cell may be, in bytes.
pub const MAX_CELL: usize = 64 << 10;
/// Over as many lines a record may go.
const MAX_RECORD_LINES: usize = 10_000;
/// Beyond this many bytes, no more than [`GIVEN_BACK`] times what was read is read a second time.
const GIVEN_BACK_FREE: u64 = 64 << 20;
const GIVEN_BACK: u64 = 8;
/// So deep may lists and objects stand in each other.
const MAX_DEPTH: usize = 16;
/// As many values may stand in the lists and objects of a line.
const MAX_VALUES: usize = 5_000;

const TOO_LONG: &str = "the line is longer than 1 MB";
const NOT_CLOSED: &str = "a quotation mark is opened and not closed";
const BADLY_QUOTED: &str = "text stands behind a closed quotation mark";

impl Records {
    /// Finds out how the file is written, unless that is given. `most` bytes of it are read at most, unpacked.
    ///
    /// # Errors
    /// A refusal where it is empty or of a kind that cannot be read; those of reading.
    pub fn open(input: Bytes, format: Option<Format>, most: u64) -> Result<Self> {
        let lines = Lines::open(input, most)?;
        let mut records = Self { lines, waiting: VecDeque::new(), delimiter: None, given_back: 0 };
        let Some(first) = records.next_filled_line()? else {
            return Err(Refusal::new(RefusalCode::Invalid, "the file is empty").into());
        };
        let is_json = first.text.trim_start().starts_with('{');
        let format = format.unwrap_or(if is_json { Format::JsonLines } else { Format::Csv });
        if format == Format::Csv {
            // Excel's own way of saying it, on a line before the header.
            let told = first.text.strip_prefix("sep=").and_then(|rest| rest.chars().next());
            records.delimiter = Some(told.unwrap_or_else(|| delimiter_of(&first)));
            if told.is_some() {
                return Ok(records);
            }
        }
        records.waiting.push_front(first);
        Ok(records)
    }

    /// How the file is written.
    #[must_use]
    pub const fn format(&self) -> Format {
        if self.delimiter.is_some() { Format::Csv } else { Format::JsonLines }
    }

    /// The last line that was read.
    #[must_use]
    pub const fn line(&self) -> i64 {
        self.lines.number()
    }

    /// The next record; `None` at the end of the file. Lines without content are passed over.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next(&mut self) -> io::Result<Option<Record>> {
        while let Some(line) = self.next_filled_line()? {
            let record = match self.delimiter {
                _ if line.is_cut => broken(line, TOO_LONG),
                Some(delimiter) => self.read_cells(line, delimiter)?,
                None => read_object(line),
            };
            let is_blank =
                matches!(&record.content, Ok(Content::Cells(cells)) if cells.iter().all(|cell| cell.trim().is_empty()));
            if !is_blank {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        self.waiting.pop_front().map_or_else(|| self.lines.next(), |line| Ok(Some(line)))
    }

    fn next_filled_line(&mut self) -> io::Result<Option<Line>> {
        while let Some(line) = self.next_line()? {
            if !line.text.trim().is_empty() {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// Reads the record that begins on `first`. Where it cannot be read, only that line is lost, not those read behind it.
    fn read_cells(&mut self, first: Line, delimiter: char) -> io::Result<Record> {
        let mut cells = Cells::new(delimiter);
        let mut more: Vec<Line> = Vec::new();
        let mut size = first.text.len();
        let mut outcome = cells.add(&first);
        let reason = loop {
            match outcome {
                Outcome::Complete => return Ok(joined(first, &more, cells)),
                Outcome::Malformed => break BADLY_QUOTED,
                Outcome::Open => {}
            }
            let Some(line) = self.next_line()? else { break NOT_CLOSED };
            size += line.text.len() + 1;
            outcome = cells.add(&line);
            let is_too_long = line.is_cut || size > MAX_LINE || more.len() >= MAX_RECORD_LINES;
            more.push(line);
            if is_too_long {
                break NOT_CLOSED;
            }
        };
        self.give_back(more)?;
        Ok(broken(first, reason))
    }

    /// Has lines read again. A file that makes every line be read again and again is given up.
    fn give_back(&mut self, lines: Vec<Line>) -> io::Result<()> {
        for line in lines.into_iter().rev() {
            self.given_back = self.given_back.saturating_add(line.text.len().try_into().unwrap_or(u64::MAX));
            self.waiting.push_front(line);
        }
        if self.given_back <= self.lines.bytes().saturating_mul(GIVEN_BACK).saturating_add(GIVEN_BACK_FREE) {
            return Ok(());
        }
        let message = "too many quotation marks are opened and not closed: write quotation marks in pairs".to_owned();
        Err(io::Error::other(TooMuch(message)))
    }
}

fn joined(first: Line, more: &[Line], cells: Cells) -> Record {
    let last_line = more.last().map_or(first.number, |line| line.number);
    let (line, mut text) = (first.number, first.text);
    for line in more {
        text.push('\n');
        text.push_str(&line.text);
    }
    Record { line, last_line, text, content: cells.end().map(Content::Cells) }
}

fn broken(line: Line, reason: impl Into<String>) -> Record {
    Record { line: line.number, last_line: line.number, text: line.text, content: Err(reason.into()) }
}

fn read_object(line: Line) -> Record {
    if let Err(reason) = check_shape(&line.text) {
        return broken(line, reason);
    }
    match serde_json::from_str(&line.text) {
        Ok(Value::Object(object)) => {
            Record { line: line.number, last_line: line.number, text: line.text, content: Ok(Content::Object(object)) }
        }
        Ok(_) => broken(line, "this is JSON, but no object"),
        // The parser's own message may repeat what stands there.
        Err(error) => broken(line, format!("this is not JSON (see column {})", error.column())),
    }
}

/// Looks how deep the lists and objects of a line stand in each other and how many values they hold, before memory is taken for
/// them. What is no JSON is left to the parser.
fn check_shape(text: &str) -> Result<(), String> {
    let (mut depth, mut values, mut is_text, mut is_escaped) = (0_usize, 0_usize, false, false);
    for byte in text.bytes() {
        if is_text {
            (is_text, is_escaped) = (is_escaped || byte != b'"', !is_escaped && byte == b'\\');
            continue;
        }
        match byte {
            b'"' => is_text = true,
            b'[' | b'{' => (depth, values) = (depth + 1, values + 1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("lists and objects stand in each other more than {MAX_DEPTH} deep"));
        }
        if values > MAX_VALUES {
            return Err(format!("the line holds more than {MAX_VALUES} values"));
        }
    }
    Ok(())
}

/// The character that separates the most cells of a header line.
fn delimiter_of(header: &Line) -> char {
    let cells = |delimiter: char| {
        let mut cells = Cells::new(delimiter);
        let outcome = cells.add(header);
        cells.count() + usize::from(matches!(outcome, Outcome::Open))
    };
    // Of several that separate equally many, the last is taken.
    ['\t', ';', ','].into_iter().max_by_key(|delimiter| cells(*delimiter)).unwrap_or(',')
}

/// What a line did to a record.
enum Outcome {
    /// The record ends with it.
    Complete,
    /// A quoted cell goes on in the next line.
    Open,
    /// It is not CSV.
    Malformed,
}

#[derive(Clone, Copy)]
enum Place {
    /// Where a cell begins.
    Start,
    /// In a cell without quotation marks; such marks inside of it are part of it.
    Plain,
    /// In a cell within quotation marks.
    Quoted,
    /// Behind a mark in such a cell: the end of it, or the first of two, which stand for one.
    Mark,
    /// Behind such a cell.
    Behind,
}

/// Takes a record apart, line by line. What is beyond a limit is counted and not kept.
struct Cells {
    delimiter: char,
    done: Vec<String>,
    cell: String,
    place: Place,
    /// How many cells there are beyond those that are kept.
    surplus: usize,
    /// The first cell that is too long, from 1.
    too_long: Option<usize>,
}

impl Cells {
    const fn new(delimiter: char) -> Self {
        Self { delimiter, done: Vec::new(), cell: String::new(), place: Place::Start, surplus: 0, too_long: None }
    }

    fn add(&mut self, line: &Line) -> Outcome {
        for character in line.text.chars() {
            self.place = match (self.place, character) {
                (Place::Quoted, '"') => Place::Mark,
                (Place::Quoted, _) => {
                    self.push(character);
                    Place::Quoted
                }
                (Place::Mark, '"') => {
                    self.push('"');
                    Place::Quoted
                }
                (_, _) if character == self.delimiter => {
                    self.end_cell();
                    Place::Start
                }
                (Place::Start, '"') => Place::Quoted,
                (Place::Start, ' ') => Place::Start,
                (Place::Start | Place::Plain, _) => {
                    self.push(character);
                    Place::Plain
                }
                (Place::Mark | Place::Behind, ' ') => Place::Behind,
                (Place::Mark | Place::Behind, _) => return Outcome::Malformed,
            };
        }
        if matches!(self.place, Place::Quoted) {
            if line.has_return {
                self.push('\r');
            }
            self.push('\n');
            return Outcome::Open;
        }
        self.end_cell();
        Outcome::Complete
    }

    fn push(&mut self, character: char) {
        if self.cell.len() < MAX_CELL {
            self.cell.push(character);
        } else {
            self.too_long.get_or_insert(self.done.len() + 1);
        }
    }

    fn end_cell(&mut self) {
        if self.done.len() < MAX_COLUMNS {
            self.done.push(std::mem::take(&mut self.cell));
        } else {
            self.cell.clear();
            self.surplus += 1;
        }
    }

    /// How many cells have ended.
    const fn count(&self) -> usize {
        self.done.len() + self.surplus
    }

    /// The cells, or what is wrong with them.
    fn end(self) -> Result<Vec<String>, String> {
        if self.surplus > 0 {
            let count = self.count();
            return Err(format!("the line has {count} cells, and {MAX_COLUMNS} columns are read at most"));
        }
        match self.too_long {
            Some(column) => Err(format!("the text in column {column} is longer than {MAX_CELL} bytes")),
            None => Ok(self.done),
        }
    }
}
