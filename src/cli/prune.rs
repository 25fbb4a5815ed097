//! `nachfass prune`.

use service::prune::Pruned;

use super::args::PruneOptions;
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// Removes what is older than it is kept, or counts it.
pub async fn run(config: &Config, PruneOptions { dry_run, json }: PruneOptions) -> anyhow::Result<()> {
    let access = Installation::open(config.clone()).await?.access();
    let pruned = access.admin()?.prune(dry_run).await?;
    if json {
        return pruned.iter().try_for_each(|pruned| Ok(output::line(serde_json::to_string(pruned)?)?));
    }
    output::line(format_args!("{:<18} {:>10} {:>12} {:>12}", "what", "kept for", "older", "removed"))?;
    pruned.iter().try_for_each(|pruned| Ok(output::line(line(pruned))?))
}

fn line(Pruned { what, kept_days, older, removed }: &Pruned) -> String {
    let kept = match kept_days {
        Some(days) => format!("{days} days"),
        None if ["exports", "sessions"].contains(what) => "their time".to_owned(),
        None => "ever".to_owned(),
    };
    format!("{what:<18} {kept:>10} {older:>12} {removed:>12}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each() {
        let pruned = Pruned { what: "deliveries", kept_days: Some(30), older: 12, removed: 0 };
        assert_eq!(line(&pruned), "deliveries            30 days           12            0");
        let sessions = Pruned { what: "sessions", kept_days: None, older: 1, removed: 1 };
        assert_eq!(line(&sessions), "sessions           their time            1            1");
    }
}
