//! Whom Berth speaks to.

use crate::harness::{Setup, TestApp, sign_in_as};
use berth::{error::AppError, proxmox::tls::Trust, simulator::CertificateMode};

async fn refused(app: &TestApp) {
    let error = app.stranger().post(sign_in_as("alice", "pve", "berth")).await.error();
    assert!(matches!(error, AppError::CertificateUntrusted { .. }), "{error:?}");
    assert!(app.cluster.requests().is_empty(), "nothing may be sent");
}

#[tokio::test]
async fn a_certificate_that_is_not_the_pinned_one_gets_no_credential() {
    let app = TestApp::start().await;
    app.cluster.set_certificate(CertificateMode::New).unwrap();
    refused(&app).await;
}

#[tokio::test]
async fn the_pinned_certificate_with_another_key_gets_no_credential() {
    let app = TestApp::start().await;
    app.cluster.set_certificate(CertificateMode::WrongKey).unwrap();
    refused(&app).await;
}

#[tokio::test]
async fn a_certificate_that_the_system_does_not_know_gets_no_credential() {
    let app = TestApp::with(Setup { trust: Some(Trust::System), ..Setup::quick() }).await;
    refused(&app).await;
}

#[tokio::test]
async fn a_certificate_that_another_ca_signed_gets_no_credential() {
    let folder = tempfile::tempdir().unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, other.cert.pem()).unwrap();
    let app = TestApp::with(Setup { trust: Some(Trust::CaFile(file)), ..Setup::quick() }).await;
    refused(&app).await;
}

#[tokio::test]
async fn a_certificate_that_changes_in_mid_session_gets_no_ticket() {
    let app = TestApp::start().await;
    let alice = app.sign_in("alice@pve").await;
    app.cluster.set_certificate(CertificateMode::New).unwrap();
    app.cluster.clear_requests();
    let page = alice.open("/").await;
    assert!(page.text.contains("The certificate of homelab is not the one Berth trusts."), "{}", page.text);
    assert!(app.cluster.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_of_the_given_ca_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let mut ca = rcgen::CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertifiedIssuer::self_signed(ca, key).unwrap();
    let node_key = rcgen::KeyPair::generate().unwrap();
    let node = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&node_key, &ca).unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca.pem()).unwrap();
    let mut setup = Setup { trust: Some(Trust::CaFile(file)), ..Setup::quick() };
    setup.simulator.certificate = Some((node.pem(), node_key.serialize_pem()));
    let app = TestApp::with(setup).await;
    app.sign_in("alice@pve").await;
}
