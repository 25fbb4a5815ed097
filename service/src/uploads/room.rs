//! Room for uploads: how much is left, and what makes way.

use sea_orm::ConnectionTrait;

use super::limits::{FileLimits, Sending};
use super::{UploadError, remove_file};
use crate::access::{Marketer, Services};
use crate::audit;
use crate::db::{execute, is_postgres, query_all, query_one};
use crate::error::{Result, ServiceError};
use crate::jobs::{JobKind, JobState};

/// What uploads take up that are stored.
#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    user_files: u64,
    user_bytes: u64,
    total_bytes: u64,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Short {
    UserFiles,
    UserBytes,
    TotalBytes,
}

/// The room that an upload has while it comes in.
pub struct Room<'a> {
    marketer: &'a Marketer,
    sending: Sending,
    /// How many bytes have come.
    taken: u64,
    /// How many more may come before it is looked again.
    left: u64,
}

impl<'a> Room<'a> {
    /// Finds room for a file of the announced size, at least for something.
    ///
    /// # Errors
    /// Where there is none; those of the disk and the database.
    pub async fn find(marketer: &'a Marketer, sending: Sending, announced: Option<u64>) -> Result<Self, UploadError> {
        let limit = marketer.services.files.file_bytes;
        if announced.is_some_and(|size| size > limit) {
            return Err(UploadError::TooLarge { limit });
        }
        let mut room = Self { marketer, sending, taken: 0, left: 0 };
        room.look(announced.unwrap_or(1)).await?;
        Ok(room)
    }

    /// Takes room for bytes that have come.
    ///
    /// # Errors
    /// As [`Room::find`].
    pub async fn take(&mut self, bytes: u64) -> Result<(), UploadError> {
        let limit = self.marketer.services.files.file_bytes;
        if self.taken.saturating_add(bytes) > limit {
            return Err(UploadError::TooLarge { limit });
        }
        if bytes > self.left {
            self.look(bytes).await?;
        }
        self.left = self.left.saturating_sub(bytes);
        self.taken = self.taken.saturating_add(bytes);
        self.sending.add(bytes);
        Ok(())
    }

    /// How many bytes have come.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Looks how much room there is, and makes some where it is not enough for `bytes`.
    async fn look(&mut self, bytes: u64) -> Result<(), UploadError> {
        /// So much is taken without looking again: others may have stored something meanwhile.
        const AT_ONCE: u64 = 64 << 20;
        let Marketer { services, subject } = self.marketer;
        loop {
            let stored = stored(services.db.read(), &subject.id).await?;
            let traffic = self.sending.traffic();
            let used = Stored {
                user_files: stored.user_files.saturating_add(traffic.user_files.saturating_sub(1)),
                user_bytes: stored.user_bytes.saturating_add(traffic.user_bytes),
                total_bytes: stored.total_bytes.saturating_add(traffic.total_bytes),
            };
            let Some(short) = short_of(&services.files, used, bytes) else {
                let user = services.files.user_bytes.saturating_sub(used.user_bytes);
                let total = services.files.total_bytes.saturating_sub(used.total_bytes);
                self.left = user.min(total).min(AT_ONCE).max(bytes);
                return Ok(());
            };
            if !make_room(self.marketer, short).await? {
                return Err(no_room(&services.files, short));
            }
        }
    }
}

/// Lets an upload of this size through, in the transaction that notes it down, if there is room beside what is stored.
///
/// # Errors
/// Where there is none; those of the database.
pub async fn require<C: ConnectionTrait>(connection: &C, marketer: &Marketer, size: u64) -> Result<(), UploadError> {
    if is_postgres(connection) {
        // Two at the same time would both see the room that is there for one.
        let sql = "LOCK TABLE upload IN SHARE ROW EXCLUSIVE MODE";
        execute(connection, sql, []).await.map_err(ServiceError::from)?;
    }
    let limits = &marketer.services.files;
    let used = stored(connection, &marketer.subject.id).await?;
    short_of(limits, used, size).map_or(Ok(()), |short| Err(no_room(limits, short)))
}

async fn stored<C: ConnectionTrait>(connection: &C, user: &str) -> Result<Stored> {
    let sql = "SELECT CAST(COALESCE(sum(CASE WHEN created_by = $1 THEN 1 ELSE 0 END), 0) AS BIGINT), \
        CAST(COALESCE(sum(CASE WHEN created_by = $1 THEN size ELSE 0 END), 0) AS BIGINT), \
        CAST(COALESCE(sum(size), 0) AS BIGINT) FROM upload";
    let Some(row) = query_one(connection, sql, [user.into()]).await? else { return Ok(Stored::default()) };
    let number = |index| -> Result<u64> { Ok(row.try_get_by_index::<i64>(index)?.try_into().unwrap_or(0)) };
    Ok(Stored { user_files: number(0)?, user_bytes: number(1)?, total_bytes: number(2)? })
}

/// What there is too little of for another file of this size.
const fn short_of(limits: &FileLimits, used: Stored, size: u64) -> Option<Short> {
    if used.user_files >= limits.user_files {
        Some(Short::UserFiles)
    } else if used.user_bytes.saturating_add(size) > limits.user_bytes {
        Some(Short::UserBytes)
    } else if used.total_bytes.saturating_add(size) > limits.total_bytes {
        Some(Short::TotalBytes)
    } else {
        None
    }
}

fn no_room(limits: &FileLimits, short: Short) -> UploadError {
    let what = match short {
        Short::UserFiles => format!("{} files of yours are kept", limits.user_files),
        Short::UserBytes => format!("your files would take more than {} MB", limits.user_bytes >> 20),
        Short::TotalBytes => format!("the files of all users would take more than {} MB", limits.total_bytes >> 20),
    };
    let advice = "a file makes room once its import is over: import or cancel what waits, or ask an admin to run `nachfass prune` \
        or to raise the limits in [uploads]";
    UploadError::NoRoom(format!("{what}: {advice}"))
}

/// The payloads of the imports that wait or run: each names its upload.
pub async fn named_by_active_jobs(services: &Services) -> Result<Vec<String>> {
    let sql = "SELECT payload FROM job WHERE kind IN ($1, $2, $3) AND state IN ($4, $5)";
    let kinds = [JobKind::Import, JobKind::ImportMembers, JobKind::ImportCorrections].map(|kind| kind.code().into());
    let states = [JobState::Queued, JobState::Running].map(|state| state.code().into());
    let rows = query_all(services.db.read(), sql, kinds.into_iter().chain(states)).await?;
    Ok(rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?)
}

/// Removes the upload that was named longest ago of those whose import is over; `false` where there is none.
async fn make_room(marketer: &Marketer, short: Short) -> Result<bool> {
    const LOOKED_AT: i64 = 1_000;
    let Marketer { services, subject } = marketer;
    let whose = if short == Short::TotalBytes { "CAST($1 AS TEXT) IS NOT NULL" } else { "created_by = $1" };
    let sql =
        format!("SELECT id FROM upload WHERE used_at IS NOT NULL AND {whose} ORDER BY used_at, id LIMIT {LOOKED_AT}");
    let rows = query_all(services.db.read(), &sql, [subject.id.as_str().into()]).await?;
    let ids: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    let needed = named_by_active_jobs(services).await?;
    let Some(id) = ids.iter().find(|id| !needed.iter().any(|payload| payload.contains(id.as_str()))) else {
        return Ok(false);
    };
    // The file first: a row without a file is found again, a file without a row never is.
    remove_file(services, id).await?;
    let transaction = services.db.begin().await?;
    execute(&transaction, "DELETE FROM upload WHERE id = $1", [id.as_str().into()]).await?;
    audit::record(&transaction, services.now(), subject, "upload.removed", format!("upload:{id}"), None).await?;
    transaction.commit().await?;
    Ok(true)
}
