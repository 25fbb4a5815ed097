//! A workbook for Excel and others like it: typed cells, a heading that stays in sight, a filter.
//!
//! No cell is a formula. A text that looks like one stays as it is and says by its format that it is a text (the apostrophe that Excel
//! shows in its formula bar): so it stays one when somebody edits the cell. Rows go to a temporary file beside the workbook as
//! they come, and from there into the workbook in the end.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use domain::Timestamp;
use domain::table::{Cell, CellKind, Table, TableWriter, is_formula};
use rust_xlsxwriter::{ColNum, Format, FormatAlign, RowNum, Workbook, Worksheet, XlsxError};

use super::time;

/// As many rows a worksheet has in Excel, with the heading.
const SHEET_ROWS: RowNum = 1_048_576;
/// As long a text in a cell may be, in UTF-16 code units.
const MAX_TEXT: usize = 32_767;
/// What stands at the end of a text that was cut off.
const CUT: &str = "… [cut off]";
/// 1970-01-01 in days of Excel's calendar.
const EPOCH: f64 = 25_569.0;
/// Excel's calendar: from the day after its wrong leap day, 1900-03-01, to the end of the year 9999.
const CALENDAR: std::ops::Range<i64> = -2_203_891_200..253_402_300_800;
const DAY: i64 = 86_400;

/// Writes a table as a workbook.
pub struct XlsxWriter {
    workbook: Workbook,
    file: BufWriter<File>,
    table: Table,
    formats: Formats,
    /// The worksheet that is being written, from 0.
    sheet: usize,
    /// Its next row.
    row: RowNum,
    /// After so many rows there is another worksheet.
    sheet_rows: RowNum,
}

struct Formats {
    heading: Format,
    time: Format,
    literal: Format,
}

impl XlsxWriter {
    /// Begins the workbook; `path` is where `file` is.
    pub fn begin(table: &Table, file: File, path: &Path) -> io::Result<Self> {
        Self::with_sheets_of(SHEET_ROWS, table, file, path)
    }

    /// The same with smaller worksheets.
    pub(super) fn with_sheets_of(sheet_rows: RowNum, table: &Table, file: File, path: &Path) -> io::Result<Self> {
        let mut workbook = Workbook::new();
        if let Some(folder) = path.parent() {
            workbook.set_tempdir(folder).map_err(failed)?;
        }
        let formats = Formats {
            heading: Format::new().set_bold(),
            time: Format::new().set_num_format("yyyy-mm-dd hh:mm:ss").set_align(FormatAlign::Left),
            literal: Format::new().set_quote_prefix(),
        };
        let (table, file) = (table.clone(), super::buffered(file));
        let mut writer = Self { workbook, file, table, formats, sheet: 0, row: 0, sheet_rows };
        writer.begin_sheet().map_err(failed)?;
        Ok(writer)
    }

    fn begin_sheet(&mut self) -> Result<(), XlsxError> {
        let sheet = self.workbook.add_worksheet_with_constant_memory()?;
        sheet.set_freeze_panes(1, 0)?;
        for (place, column) in (0..).zip(&self.table.columns) {
            let width = match column.kind {
                CellKind::Text => 24,
                CellKind::Time => 20,
                CellKind::Int | CellKind::Bool => 12,
            };
            sheet.set_column_width(place, width)?;
            sheet.write_string_with_format(0, place, column.name, &self.formats.heading)?;
        }
        self.row = 1;
        Ok(())
    }

    /// What can only be said of a worksheet when all of its rows are there.
    fn end_sheet(&mut self) -> Result<(), XlsxError> {
        let last = ColNum::try_from(self.table.columns.len().saturating_sub(1)).unwrap_or(ColNum::MAX);
        let row = self.row - 1;
        self.workbook.worksheet_from_index(self.sheet)?.autofilter(0, 0, row, last)?;
        Ok(())
    }

    fn write_row(&mut self, cells: &[Cell<'_>]) -> Result<(), XlsxError> {
        if self.row == self.sheet_rows {
            self.end_sheet()?;
            self.sheet += 1;
            self.begin_sheet()?;
        }
        let sheet = self.workbook.worksheet_from_index(self.sheet)?;
        for (place, cell) in (0..).zip(cells) {
            self.formats.write(sheet, self.row, place, cell)?;
        }
        self.row += 1;
        Ok(())
    }
}

impl Formats {
    fn write(&self, sheet: &mut Worksheet, row: RowNum, place: ColNum, cell: &Cell<'_>) -> Result<(), XlsxError> {
        match cell {
            Cell::Empty => return Ok(()),
            Cell::Text(text) if text.is_empty() => return Ok(()),
            Cell::Text(text) if is_formula(text) => {
                sheet.write_string_with_format(row, place, cut(text), &self.literal)
            }
            Cell::Text(text) => sheet.write_string(row, place, cut(text)),
            Cell::Int(number) => match i32::try_from(*number) {
                Ok(number) => sheet.write_number(row, place, number),
                // More digits than Excel's numbers have.
                Err(_) => sheet.write_string(row, place, number.to_string()),
            },
            Cell::Time(at) => match serial(*at) {
                Some(serial) => sheet.write_number_with_format(row, place, serial, &self.time),
                None => {
                    let mut text = String::new();
                    time::push(&mut text, *at);
                    sheet.write_string(row, place, text)
                }
            },
            Cell::Bool(flag) => sheet.write_boolean(row, place, *flag),
        }?;
        Ok(())
    }
}

impl TableWriter for XlsxWriter {
    fn write(&mut self, row: &[Cell<'_>]) -> io::Result<()> {
        self.write_row(row).map_err(failed)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.end_sheet().map_err(failed)?;
        self.workbook.save_to_writer(&mut self.file).map_err(failed)?;
        self.file.flush()
    }
}

fn failed(error: XlsxError) -> io::Error {
    match error {
        XlsxError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

/// A moment in days of Excel's calendar; `None` for what it does not have. Excel knows no time zones: it is UTC.
fn serial(at: Timestamp) -> Option<f64> {
    let seconds = at.seconds();
    if !CALENDAR.contains(&seconds) {
        return None;
    }
    let days = f64::from(i32::try_from(seconds.div_euclid(DAY)).ok()?);
    let second = f64::from(i32::try_from(seconds.rem_euclid(DAY)).ok()?);
    Some(EPOCH + days + second / 86_400.0)
}

/// The text as far as it has room in a cell; one that was cut off says so.
fn cut(text: &str) -> Cow<'_, str> {
    // No text has more code units than bytes.
    if text.len() <= MAX_TEXT || text.encode_utf16().count() <= MAX_TEXT {
        return Cow::Borrowed(text);
    }
    let mut room = MAX_TEXT - CUT.encode_utf16().count();
    let fits = |character: &char| match room.checked_sub(character.len_utf16()) {
        Some(rest) => {
            room = rest;
            true
        }
        None => false,
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    kept.push_str(CUT);
    Cow::Owned(kept)
}
