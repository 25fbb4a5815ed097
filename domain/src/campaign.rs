//! Where a campaign stands.

use crate::coded_enum;

coded_enum! {
    /// Where a campaign stands.
    CampaignState {
        /// Being prepared: recipients are gathered, nothing has gone out.
        Draft = 1 "DRAFT",
        /// Going out.
        Sending = 2 "SENDING",
        /// Gone out.
        Sent = 3 "SENT",
        /// Cancelled before all of it went out.
        Canceled = 4 "CANCELED",
    }
}
