//! Writing tables into files: a module for each format, and [`Formats`] before them all.

mod csv;
mod html;
mod jsonl;
mod text;
mod time;
mod xlsx;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::Path;

use domain::table::{ExportFormat, Table, TableFormats, TableWriter};

/// So many bytes go to the file at once.
const BUFFER: usize = 128 * 1024;

/// All formats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Formats;

impl TableFormats for Formats {
    fn begin(&self, format: ExportFormat, table: &Table, path: &Path) -> io::Result<Box<dyn TableWriter>> {
        // Not created here: whoever made the file has seen to it that nobody else may read it.
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(match format {
            ExportFormat::Csv => Box::new(csv::CsvWriter::begin(table, buffered(file))?),
            ExportFormat::Xlsx => Box::new(xlsx::XlsxWriter::begin(table, file, path)?),
            ExportFormat::Html => Box::new(html::HtmlWriter::begin(table, buffered(file))?),
            ExportFormat::Text => Box::new(text::TextWriter::begin(table, buffered(file))?),
            ExportFormat::Jsonl => Box::new(jsonl::JsonlWriter::begin(table, buffered(file))),
        })
    }
}

fn buffered(file: File) -> BufWriter<File> {
    BufWriter::with_capacity(BUFFER, file)
}
