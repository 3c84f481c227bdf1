//! Sealing what must not be read in the database: ChaCha20-Poly1305 with a key from a file.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretSlice};
use std::{
    io::{ErrorKind, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

const KEY_BYTES: usize = 32;

/// The key. Cheap to use, never printed.
pub struct Sealer {
    key: LessSafeKey,
    random: SystemRandom,
}

/// Something is wrong with the key, or with what was sealed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key file cannot be read or made.
    #[error("the key file {0} cannot be used")]
    File(PathBuf, #[source] std::io::Error),
    /// The key file is not what this program made.
    #[error("the key file {0} does not hold a key of {KEY_BYTES} bytes")]
    Length(PathBuf),
    /// Others may read the key.
    #[error("the key file {0} can be read by others; allow its owner alone: chmod 600")]
    Open(PathBuf),
    /// Sealed with another key or for another place, or changed since.
    #[error("what was sealed cannot be opened")]
    Sealed,
    /// The system has no randomness.
    #[error("no randomness")]
    Random,
}

impl Sealer {
    /// Reads the key, or makes one at the first start. Two processes that start at once end up with the same key.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let file = |e| SecretError::File(path.to_owned(), e);
        let random = SystemRandom::new();
        let mut fresh = [0; KEY_BYTES];
        random.fill(&mut fresh).map_err(|_| SecretError::Random)?;
        // Written aside and linked into place: nobody ever sees half a key, and only one of two writers wins.
        let aside = path.with_extension(format!("{}.tmp", random_hex::<8>()?));
        if !path.exists() {
            let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(file)?;
            out.write_all(&fresh).and_then(|()| out.sync_all()).map_err(file)?;
            let linked = std::fs::hard_link(&aside, path);
            std::fs::remove_file(&aside).map_err(file)?;
            if let Err(error) = linked
                && error.kind() != ErrorKind::AlreadyExists
            {
                return Err(file(error));
            }
        }
        let mut input = std::fs::File::open(path).map_err(file)?;
        if input.metadata().map_err(file)?.permissions().mode() & 0o077 != 0 {
            return Err(SecretError::Open(path.to_owned()));
        }
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).map_err(file)?;
        let bytes = SecretSlice::from(bytes);
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes.expose_secret()).map_err(|_| SecretError::Length(path.to_owned()))?;
        Ok(Self { key: LessSafeKey::new(key), random })
    }

    /// Seals a text for one place: it opens nowhere else.
    pub fn seal(&self, place: &str, text: &str) -> Result<Vec<u8>, SecretError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SecretError::Random)?;
        let mut sealed = text.as_bytes().to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place.as_bytes()), &mut sealed)
            .map_err(|_| SecretError::Sealed)?;
        sealed.splice(0..0, nonce);
        Ok(sealed)
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<String, SecretError> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(SecretError::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::Sealed)?;
        let mut text = text.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(place.as_bytes()), &mut text).map_err(|_| SecretError::Sealed)?;
        String::from_utf8(opened.to_vec()).map_err(|_| SecretError::Sealed)
    }
}

/// `N` random bytes in hex.
pub fn random_hex<const N: usize>() -> Result<String, SecretError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SecretError::Random)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_at_its_place_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let sealer = Sealer::from_file(&dir.path().join("key")).unwrap();
        let sealed = sealer.seal("here", "secret").unwrap();
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
        assert_eq!(sealer.open("here", &sealed).unwrap(), "secret");
        assert!(sealer.open("there", &sealed).is_err());
        assert!(sealer.open("here", &sealed[..5]).is_err());
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(sealer.open("here", &changed).is_err());
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let sealed = Sealer::from_file(&path).unwrap().seal("p", "secret").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Sealer::from_file(&path).unwrap().open("p", &sealed).unwrap(), "secret");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Sealer::from_file(&path), Err(SecretError::Open(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, b"short").unwrap();
        assert!(matches!(Sealer::from_file(&path), Err(SecretError::Length(_))));
    }
}
