//! The log: to stderr, as text on a terminal and as JSON otherwise. How its lines are written: `docs/LOGGING.md`.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::LogFormat;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error("{origin}: the log filter cannot be read")]
    Filter {
        /// `log` of the configuration, or the variable.
        origin: &'static str,
        /// What is wrong with it.
        source: ParseError,
    },
    /// It has been set up before.
    #[error("the log has been set up already")]
    Repeated(#[from] TryInitError),
}

/// Libraries that say at `info` what only their authors want to know.
const QUIET: &str = "sea_orm_migration=warn,actix_server=warn,apalis_core=warn";

/// Sets up the log of this process. The variable RUST_LOG wins over `filter`, as everywhere in Rust.
///
/// # Errors
/// A filter that cannot be read, or a second call.
pub fn init(filter: &str, format: LogFormat) -> Result<(), LoggingError> {
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.trim().is_empty());
    let (origin, directives) = match &variable {
        Some(directives) => (EnvFilter::DEFAULT_ENV, directives.as_str()),
        None => ("log", filter),
    };
    // What is said of a single module wins over this, wherever it stands.
    let directives = format!("{QUIET},{directives}");
    let filter = EnvFilter::builder().parse(directives).map_err(|source| LoggingError::Filter { origin, source })?;
    let terminal = io::stderr().is_terminal();
    if format == LogFormat::Json || (format == LogFormat::Auto && !terminal) {
        json(filter, io::stderr).try_init()?;
    } else {
        // https://no-color.org: present and not empty, whatever it says.
        let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        text(filter, colours, io::stderr).try_init()?;
    }
    Ok(())
}

/// For reading: one line each, with the fields of the spans it happened in.
fn text<W>(filter: EnvFilter, colours: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    fmt::Subscriber::builder().with_env_filter(filter).with_ansi(colours).with_writer(writer).finish()
}

/// For machines: one object a line, its fields beside `message`, and all its spans, of which the outermost holds the id
/// of the request or job.
fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let builder = fmt::Subscriber::builder().with_env_filter(filter).with_writer(writer);
    builder.json().flatten_event(true).with_current_span(false).with_span_list(true).finish()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What `subscriber` makes of one event within a request.
    fn logged<S: Subscriber + Send + Sync + 'static>(subscriber: impl FnOnce(Buffer) -> S) -> String {
        let buffer = Buffer::default();
        tracing::subscriber::with_default(subscriber(buffer.clone()), || {
            let _request = tracing::info_span!("request", request_id = "01J").entered();
            let _inner = tracing::info_span!("apply", campaign_id = 3).entered();
            tracing::info!(duration_ms = 12, "applied deliveries");
            tracing::debug!("not asked for");
        });
        let bytes = buffer.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Buffer {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn json_is_one_object_a_line_with_all_spans() {
        let line = logged(|buffer| json(EnvFilter::new("info"), buffer));
        let object: serde_json::Value = serde_json::from_str(&line).expect("one object");
        assert_eq!(object["message"], "applied deliveries");
        assert_eq!(object["duration_ms"], 12);
        assert_eq!(object["spans"][0]["request_id"], "01J");
        assert_eq!(object["spans"][1]["campaign_id"], 3);
    }

    #[test]
    fn text_names_the_request_and_has_no_colours_unless_wanted() {
        let line = logged(|buffer| text(EnvFilter::new("info"), false, buffer));
        assert!(line.contains("request_id=\"01J\"") && line.ends_with("applied deliveries duration_ms=12\n"), "{line}");
        assert!(!line.contains('\x1b') && logged(|buffer| text(EnvFilter::new("info"), true, buffer)).contains('\x1b'));
    }
}
