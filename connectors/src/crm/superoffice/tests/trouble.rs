//! What is wrong, as those are told who wait.

use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use crm_testing::superoffice::{self as stand_in, Misbehaviour};
use domain::crm::{Crm, Trouble};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Site, chain};

async fn trouble(site: &Site) -> Option<Trouble> {
    let error = site.crm.person("1").await.expect_err("not reached");
    chain(&error);
    error.trouble()
}

fn answer(status: u16, retry_after: Option<&str>) -> Misbehaviour {
    Misbehaviour::Answer { status, retry_after: retry_after.map(str::to_owned) }
}

#[tokio::test]
async fn a_tenant_that_does_not_run_says_why() {
    for (state, expected) in [
        ("Suspended", Trouble::Suspended),
        ("OfflineMaintenance", Trouble::Maintenance),
        ("MigrationPending", Trouble::Maintenance),
        ("ProvisioningFailed", Trouble::AtRest),
    ] {
        let site = Site::new();
        site.server.set_state(state, false);
        assert_eq!(trouble(&site).await, Some(expected), "{state}");
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    let elsewhere = Misbehaviour::Redirect("https://elsewhere.example/?ticket=secret".to_owned());
    for (path, what, expected) in [
        ("Person", answer(429, Some("900")), Trouble::Pause),
        ("Person", answer(503, Some("900")), Trouble::Pause),
        ("Person", answer(500, None), Trouble::Fault),
        ("Person", answer(504, None), Trouble::TimeOut),
        ("Person", answer(421, None), Trouble::Astray),
        ("Person", elsewhere.clone(), Trouble::Redirect),
        ("Person", Misbehaviour::NeverAnswer, Trouble::TimeOut),
        ("Person", Misbehaviour::LoseAnswer, Trouble::Interrupted),
        ("Person", Misbehaviour::TearBody, Trouble::Interrupted),
        ("api/state", elsewhere.clone(), Trouble::Redirect),
        ("api/state", answer(502, None), Trouble::Fault),
        ("oauth/tokens", elsewhere, Trouble::Redirect),
        ("oauth/tokens", answer(429, Some("900")), Trouble::Pause),
        ("oauth/tokens", Misbehaviour::NeverAnswer, Trouble::TimeOut),
    ] {
        let site = Site::with(|settings| settings.timeout = Duration::from_millis(400));
        site.server.generate(3);
        site.server.misbehave(path, 9, what.clone());
        assert_eq!(trouble(&site).await, Some(expected), "{path} {what:?}");
    }
}

#[tokio::test]
async fn where_nobody_listens_nothing_can_be_connected_to() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let site = Site::with(|settings| settings.login_url = format!("http://{free}").parse().expect("a URL"));
    assert_eq!(trouble(&site).await, Some(Trouble::NoConnection));
}

/// Serves by TLS with a certificate that no authority has signed; answers where.
fn serve_with_a_wrong_certificate() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let certificate = CertificateDer::from_pem_slice(stand_in::CERTIFICATE.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(stand_in::PRIVATE_KEY.as_bytes()).expect("a key");
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.expect("a key that fits"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut connection = rustls::ServerConnection::new(config.clone()).expect("a connection");
            // The client hangs up; until then it is talked to.
            rustls::Stream::new(&mut connection, &mut stream).read_to_end(&mut Vec::new()).ok();
        }
    });
    format!("https://{address}")
}

#[tokio::test]
async fn a_wrong_certificate_is_named_also_while_nothing_is_sent() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let url = serve_with_a_wrong_certificate();
    let site = Site::with(|settings| settings.login_url = url.parse().expect("a URL"));
    for _ in 0..3 {
        assert_eq!(trouble(&site).await, Some(Trouble::Certificate));
    }
    let error = site.crm.person("1").await.expect_err("left alone");
    assert!(chain(&error).contains("left alone"), "the circuit is open by now: {}", chain(&error));
}
