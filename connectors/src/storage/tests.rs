//! A folder as a store, and an S3-compatible server that notes down what it is asked.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

async fn read(store: &ObjectFiles, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
    let content = store.open("one.csv", range).await?;
    let bytes: Vec<_> = content.try_collect().await.expect("it can be read");
    Ok(bytes.concat())
}

async fn keeps_files(store: &ObjectFiles, folder: &Path) {
    let file = folder.join("made");
    for content in ["first", "the second, which is longer"] {
        std::fs::write(&file, content).expect("written");
        assert_eq!(store.put("one.csv", &file).await.expect("stored"), u64::try_from(content.len()).expect("small"));
    }
    assert_eq!(store.size("one.csv").await.expect("there"), 27);
    assert_eq!(read(store, 0..27).await.expect("there"), b"the second, which is longer");
    assert_eq!(read(store, 4..10).await.expect("there"), b"second");
    store.delete("one.csv").await.expect("deleted");
    store.delete("one.csv").await.expect("gone already");
    assert!(matches!(store.size("one.csv").await, Err(StoreError::NotFound)));
    assert!(matches!(read(store, 0..1).await, Err(StoreError::NotFound)));
    assert!(matches!(store.put("one.csv", Path::new("/nowhere/at/all")).await, Err(StoreError::Failed(_))));
}

#[tokio::test]
async fn a_folder_keeps_files_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let exports = folder.path().join("deep/exports");
    let store = ObjectFiles::in_folder(&exports).expect("a store");
    keeps_files(&store, folder.path()).await;
    assert_eq!(std::fs::read_dir(&exports).expect("the folder").count(), 0);
    assert!(!folder.path().join("made").exists(), "it was moved");
}

#[tokio::test]
async fn an_s3_compatible_store_keeps_files_in_parts() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let folder = tempfile::tempdir().expect("a folder");
    let server = Arc::new(FakeS3::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = server.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serving.clone().serve(socket));
        }
    });
    let settings = S3Settings {
        bucket: "bucket".to_owned(),
        prefix: "nachfass/exports".to_owned(),
        endpoint: Some(endpoint),
        region: Some("eu-central-1".to_owned()),
        credentials: Some(("id".to_owned(), "key".to_owned())),
        allow_http: true,
    };
    let store = ObjectFiles::in_s3(&settings).expect("a store");
    keeps_files(&store, folder.path()).await;

    let large: Vec<u8> = (0..=u8::MAX).cycle().take(PART * 2 + 5).collect();
    std::fs::write(folder.path().join("large"), &large).expect("written");
    let size = store.put("large.csv", &folder.path().join("large")).await.expect("stored");
    assert_eq!(size, u64::try_from(large.len()).expect("small"));
    let stored = server.0.lock().expect("no panic").objects.get("/bucket/nachfass/exports/large.csv").cloned();
    assert!(stored.is_some_and(|stored| stored == large), "all parts, in their order");
    let sizes = server.0.lock().expect("no panic").part_sizes.clone();
    // They travel beside each other: which comes first is chance.
    assert!(sizes.contains(&5) && sizes.contains(&PART), "{sizes:?}");
}

/// As much of S3 as is needed, without checking signatures.
#[derive(Default)]
struct FakeS3(Mutex<Bucket>);

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<(String, u32), Vec<u8>>,
    part_sizes: Vec<usize>,
}

struct Asked {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    range: Option<(usize, usize)>,
    body: Vec<u8>,
}

impl FakeS3 {
    async fn serve(self: Arc<Self>, socket: TcpStream) {
        let mut socket = BufReader::new(socket);
        while let Some(asked) = read_request(&mut socket).await {
            let head = asked.method == "HEAD";
            let (status, headers, body) = self.answer(asked);
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\netag: \"e\"\r\n\
                 last-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n{headers}\r\n",
                body.len()
            );
            socket.write_all(text.as_bytes()).await.expect("the client listens");
            if !head {
                socket.write_all(&body).await.expect("the client listens");
            }
        }
    }

    fn answer(&self, asked: Asked) -> (u16, String, Vec<u8>) {
        let mut bucket = self.0.lock().expect("no panic");
        let Asked { method, path, query, range, body } = asked;
        let part = query.get("partNumber").and_then(|number| number.parse().ok());
        match (method.as_str(), part) {
            ("POST", _) if query.contains_key("uploads") => {
                let xml = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
                (200, String::new(), xml.into())
            }
            ("PUT", Some(number)) => {
                bucket.part_sizes.push(body.len());
                bucket.parts.insert((path, number), body);
                (200, String::new(), Vec::new())
            }
            ("POST", _) => {
                let parts = std::mem::take(&mut bucket.parts);
                bucket.objects.insert(path, parts.into_values().flatten().collect());
                let xml = "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>";
                (200, String::new(), xml.into())
            }
            ("DELETE", _) => {
                bucket.objects.remove(&path);
                (204, String::new(), Vec::new())
            }
            _ => match (bucket.objects.get(&path), range) {
                (None, _) => (404, String::new(), Vec::new()),
                (Some(all), Some((from, to))) => {
                    let header = format!("content-range: bytes {from}-{to}/{}\r\n", all.len());
                    (206, header, all.get(from..=to).expect("a range within it").to_vec())
                }
                (Some(all), None) => (200, String::new(), all.clone()),
            },
        }
    }
}

async fn read_request(socket: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    socket.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut range) = (0, None);
    loop {
        let mut header = String::new();
        socket.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "range" => {
                let (from, to) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
                range = Some((from.parse().ok()?, to.parse().ok()?));
            }
            _ => {}
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Some(Asked { method, path: path.to_owned(), query, range, body })
}
