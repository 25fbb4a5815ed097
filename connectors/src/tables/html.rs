//! A page with one table, complete in itself: it loads nothing and runs nothing.
//!
//! Spreadsheets open such pages, and calculate what they find in a cell: formulas are defused.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};

use domain::table::{Cell, CellKind, Table, TableWriter, defuse};

use super::time;

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:1.5rem;color:#1b1b1f;background:#fff}\
    table{border-collapse:collapse}caption{text-align:left;font-size:1.3rem;margin-bottom:.7rem}\
    th,td{border:1px solid #cfcfd6;padding:.25rem .6rem;text-align:left;vertical-align:top}\
    td{white-space:pre-wrap;overflow-wrap:anywhere;max-width:40rem}th{position:sticky;top:0;background:#f0f0f4}\
    .n{text-align:right;font-variant-numeric:tabular-nums}tr:nth-child(even) td{background:#fafafc}";

/// Writes a table as a page.
pub struct HtmlWriter {
    file: BufWriter<File>,
    /// A row that is being put together.
    row: String,
}

impl HtmlWriter {
    /// Begins the page with the heading of the table.
    pub fn begin(table: &Table, mut file: BufWriter<File>) -> io::Result<Self> {
        let mut title = String::new();
        escape(&mut title, &table.title);
        write!(
            file,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<table>\n<caption>{title}</caption>\n<thead>\n<tr>"
        )?;
        for column in &table.columns {
            let class = if column.kind == CellKind::Int { " class=\"n\"" } else { "" };
            write!(file, "<th scope=\"col\"{class}>{}</th>", column.name)?;
        }
        file.write_all(b"</tr>\n</thead>\n<tbody>\n")?;
        Ok(Self { file, row: String::new() })
    }
}

impl TableWriter for HtmlWriter {
    fn write(&mut self, row: &[Cell<'_>]) -> io::Result<()> {
        self.row.clear();
        self.row.push_str("<tr>");
        for cell in row {
            match cell {
                Cell::Empty => self.row.push_str("<td>"),
                Cell::Text(text) => {
                    self.row.push_str("<td>");
                    escape(&mut self.row, &defuse(text));
                }
                // Writing to a String cannot fail.
                Cell::Int(number) => write!(self.row, "<td class=\"n\">{number}").unwrap_or_default(),
                Cell::Time(at) => {
                    self.row.push_str("<td>");
                    time::push(&mut self.row, *at);
                }
                Cell::Bool(flag) => self.row.push_str(if *flag { "<td>yes" } else { "<td>no" }),
            }
            self.row.push_str("</td>");
        }
        self.row.push_str("</tr>\n");
        self.file.write_all(self.row.as_bytes())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.file.write_all(b"</tbody>\n</table>\n</body>\n</html>\n")?;
        self.file.flush()
    }
}

/// Adds a text so that nothing in it means anything to a browser.
fn escape(html: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // A browser would make a line feed of it.
            '\r' => html.push_str("&#13;"),
            other => html.push(other),
        }
    }
}
