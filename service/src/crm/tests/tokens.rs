//! What the CRM gave us is kept, and cannot be read without the key.

use std::sync::Arc;

use domain::Timestamp;
use domain::crm::{Token, TokenStore};

use crate::access::Services;
use crate::testing::{TestClock, TestDb};

#[tokio::test]
async fn a_token_is_kept_encrypted_for_all_processes_of_the_installation() {
    for test in TestDb::each().await {
        let folder = tempfile::tempdir().expect("a folder");
        let services =
            |secret: u8| Services::new(test.db.clone(), Arc::new(TestClock::new()), &[secret; 32], folder.path());
        let token = Token { secret: "8A:Cust12020.secret".to_owned(), expires_at: Some(Timestamp::from_seconds(9)) };
        assert_eq!(services(1).get("ticket").await, None);
        services(1).put("ticket", &token).await;
        assert_eq!(services(1).get("ticket").await, Some(token.clone()));
        assert_eq!(services(2).get("ticket").await, None, "another installation's key");
        let row = crate::db::query_one(test.db.read(), "SELECT sealed FROM crm_token", []).await.expect("read");
        let sealed: Vec<u8> = row.expect("a row").try_get_by_index(0).expect("bytes");
        assert!(!String::from_utf8_lossy(&sealed).contains("secret"));
        assert!(!format!("{token:?}").contains("secret\""));
        test.close().await;
    }
}
