//! `nachfass recount`.

use std::process::ExitCode;

use anyhow::Context;
use service::campaigns::find_campaign;
use service::recount::{Recounted, recount};

use super::args::RecountOptions;
use super::output;
use crate::config::Config;
use crate::installation::Installation;

/// Exit status 1 where something differs and was not repaired.
pub async fn run(config: &Config, options: RecountOptions) -> ExitCode {
    let json = options.json;
    let result = count(config, options).await;
    let found = match result {
        Ok(found) => found,
        Err(error) => return output::fail(&error),
    };
    let Recounted { compared, different, repaired } = found;
    let printed = if json {
        serde_json::to_string(&found).map_err(Into::into).and_then(output::line)
    } else {
        output::line(format_args!("{compared} figures compared, {different} different, {repaired} repaired"))
    };
    match printed {
        Ok(()) if different > repaired => ExitCode::FAILURE,
        printed => output::finish(printed.map_err(Into::into)),
    }
}

async fn count(config: &Config, options: RecountOptions) -> anyhow::Result<Recounted> {
    let installation = Installation::open(config.clone()).await?;
    let campaign = match &options.campaign {
        Some(key) => {
            let found = find_campaign(installation.db.read(), key).await?;
            Some(found.with_context(|| format!("there is no campaign with the key {key:?}"))?.id)
        }
        None => None,
    };
    Ok(recount(&installation.services, campaign, options.repair).await?)
}
