//! Files that were uploaded, to be named in a job later.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use entity::upload;
use futures::{Stream, StreamExt};
use sea_orm::{ConnectionTrait, EntityTrait, IntoActiveModel, SelectExt};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use crate::access::{Marketer, Services};
use crate::error::{Refusal, RefusalCode, Result};

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name towards the outside; also that of the file.
    pub id: String,
    /// Its size in bytes, as it was sent.
    pub size: u64,
}

impl Marketer {
    /// Stores what `content` brings, up to `limit` bytes. Once this returns, it survives a crash.
    ///
    /// # Errors
    /// A refusal where it is empty or longer; the stream's own errors; those of the disk and the database.
    pub async fn store_upload<S, B>(
        &self,
        content: S,
        content_type: Option<&str>,
        gzip: bool,
        limit: u64,
    ) -> Result<Upload>
    where
        S: Stream<Item = io::Result<B>>,
        B: AsRef<[u8]>,
    {
        let id = ulid::Ulid::generate().to_string();
        let folder = folder(&self.services);
        fs::create_dir_all(&folder).await?;
        let (part, path) = (folder.join(format!("{id}.part")), folder.join(&id));
        let stored = write_file(&part, content, limit).await;
        if stored.is_err() {
            fs::remove_file(&part).await.ok();
        }
        let size = stored?;
        fs::rename(&part, &path).await?;
        // The name, too, has to be on the disk.
        fs::File::open(&folder).await?.sync_all().await?;
        let row = upload::Model {
            id: id.clone(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            content_type: content_type.map(str::to_owned),
            gzip,
            created_by: self.subject.id.clone(),
            created_at: self.services.now().micros(),
        };
        let insert = upload::Entity::insert(row.into_active_model());
        if let Err(error) = insert.exec_without_returning(self.services.db.write()).await {
            fs::remove_file(&path).await.ok();
            return Err(error.into());
        }
        Ok(Upload { id, size })
    }
}

/// Opens an upload for reading.
///
/// # Errors
/// A refusal where there is none with this id, or its file is gone.
pub async fn open(services: &Services, id: &str) -> Result<std::fs::File> {
    require(services.db.read(), id).await?;
    match fs::File::open(folder(services).join(id)).await {
        Ok(file) => Ok(file.into_std().await),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_found().into()),
        Err(error) => Err(error.into()),
    }
}

/// Lets those through who name an upload that exists. An id that is none of ours never becomes part of a path.
///
/// # Errors
/// A refusal where there is none with this id.
pub(crate) async fn require<C: ConnectionTrait>(connection: &C, id: &str) -> Result<()> {
    if upload::Entity::find_by_id(id).exists(connection).await? { Ok(()) } else { Err(not_found().into()) }
}

/// Removes the file of an upload; one that is gone already stays so.
pub(crate) async fn remove_file(services: &Services, id: &str) -> Result<()> {
    match fs::remove_file(folder(services).join(id)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn not_found() -> Refusal {
    Refusal::field(
        RefusalCode::NotFound,
        &["uploadId"],
        "there is no such upload: send the file to POST /uploads first",
    )
}

fn folder(services: &Services) -> PathBuf {
    services.data_dir.join("uploads")
}

async fn write_file<S, B>(path: &Path, content: S, limit: u64) -> Result<u64>
where
    S: Stream<Item = io::Result<B>>,
    B: AsRef<[u8]>,
{
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(path).await?;
    let mut content = std::pin::pin!(content);
    let mut size: u64 = 0;
    while let Some(chunk) = content.next().await {
        let chunk = chunk?;
        size = size.saturating_add(chunk.as_ref().len().try_into().unwrap_or(u64::MAX));
        if size > limit {
            return Err(Refusal::new(RefusalCode::Invalid, format!("the file is larger than {limit} bytes")).into());
        }
        file.write_all(chunk.as_ref()).await?;
    }
    if size == 0 {
        return Err(Refusal::new(RefusalCode::Invalid, "the file is empty").into());
    }
    file.flush().await?;
    file.sync_all().await?;
    Ok(size)
}
