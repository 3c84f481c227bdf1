//! The certificate that the simulator shows, its fingerprint, and how both are exchanged while it runs.

use super::config::hex;
use ring::digest;
use rustls::{
    ServerConfig,
    crypto::ring as provider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _},
    server::{ClientHello, NoServerSessionStorage, ResolvesServerCert},
    sign::{CertifiedKey, SigningKey},
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    sync::{Arc, RwLock},
};
use tokio::sync::watch;

/// Which certificate to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateMode {
    /// The one from the start.
    Original,
    /// A new one with a new key.
    New,
    /// The original certificate, and handshakes signed with another key: who checks only the fingerprint is fooled.
    WrongKey,
}

#[derive(Clone)]
struct Identity {
    certified: Arc<CertifiedKey>,
    pem: String,
    fingerprint: String,
}

pub struct Certificates {
    original: Identity,
    current: RwLock<Identity>,
    /// Counts exchanges: connections of before end after their request.
    pub exchanged: watch::Sender<u64>,
}

impl Certificates {
    /// With the given certificate and key (PEM), or with new ones.
    pub fn new(given: Option<&(String, String)>) -> io::Result<Arc<Self>> {
        let original = match given {
            Some((certificate, key)) => Identity::given(certificate, key)?,
            None => Identity::fresh()?,
        };
        Ok(Arc::new(Self { current: RwLock::new(original.clone()), original, exchanged: watch::Sender::new(0) }))
    }

    pub fn set(&self, mode: CertificateMode) -> io::Result<()> {
        let next = match mode {
            CertificateMode::Original => self.original.clone(),
            CertificateMode::New => Identity::fresh()?,
            CertificateMode::WrongKey => {
                let (chain, key) = (self.original.certified.cert.clone(), Identity::fresh()?.certified.key.clone());
                // Made by hand: nothing compares the key with the certificate here, which is the point.
                Identity { certified: Arc::new(CertifiedKey::new(chain, key)), ..self.original.clone() }
            }
        };
        *self.current.write().expect("nothing panics while it holds the certificate") = next;
        self.exchanged.send_modify(|n| *n += 1);
        Ok(())
    }

    fn current(&self) -> Identity {
        self.current.read().expect("nothing panics while it holds the certificate").clone()
    }

    pub fn fingerprint(&self) -> String {
        self.current().fingerprint
    }

    pub fn pem(&self) -> String {
        self.current().pem
    }

    pub fn server_config(self: &Arc<Self>) -> io::Result<ServerConfig> {
        let resolver = Arc::new(Resolver(Arc::clone(self)));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        // Each connection shows its certificate: a resumed session would hide an exchange.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

struct Resolver(Arc<Certificates>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current().certified)
    }
}

impl Identity {
    fn fresh() -> io::Result<Self> {
        let names = ["pve1", "localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        Self::of(vec![cert.der().clone()], &key, cert.pem())
    }

    fn given(certificate: &str, key: &str) -> io::Result<Self> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(io::Error::other)?;
        Self::of(chain.map_err(io::Error::other)?, &key, certificate.to_owned())
    }

    fn of(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>, pem: String) -> io::Result<Self> {
        let key: Arc<dyn SigningKey> = provider::sign::any_supported_type(key).map_err(io::Error::other)?;
        let first = chain.first().ok_or_else(|| io::Error::other("no certificate in the PEM text"))?;
        let fingerprint = fingerprint(first);
        Ok(Self { certified: Arc::new(CertifiedKey::new(chain, key)), pem, fingerprint })
    }
}

/// SHA-256 as Proxmox and openssl write it, `AA:BB:…`.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let sum = digest::digest(&digest::SHA256, certificate.as_ref());
    let pairs: Vec<_> = sum.as_ref().iter().map(|byte| hex(&[*byte]).to_uppercase()).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_certificate_has_another_fingerprint_and_a_wrong_key_the_same() {
        let certificates = Certificates::new(None).unwrap();
        let original = certificates.fingerprint();
        assert_eq!(original.len(), 32 * 3 - 1);
        certificates.set(CertificateMode::New).unwrap();
        assert_ne!(certificates.fingerprint(), original);
        certificates.set(CertificateMode::WrongKey).unwrap();
        assert_eq!(certificates.fingerprint(), original);
        assert!(certificates.current().certified.keys_match().is_err());
        certificates.set(CertificateMode::Original).unwrap();
        assert!(certificates.current().certified.keys_match().is_ok());
    }
}
