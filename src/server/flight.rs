//! One question at a time: who asks what is being asked already waits for the same answer.

use super::Error;
use crate::error::AppError;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// A question under way, for all who ask it.
pub type Asked<T> = Shared<BoxFuture<'static, Result<T, AppError>>>;

/// The questions under way, by what they are about. Cheap to clone.
#[derive(Clone)]
pub struct Flights<K, T>(Arc<Mutex<HashMap<K, Asked<T>>>>);

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Asks by `work`, or joins who is asking about the same. The question goes on to its end where all who wait give up. Its error is
    /// logged once.
    pub fn join(&self, key: &K, work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Asked<T> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asked) = under_way.get(key) {
            return asked.clone();
        }
        let (flights, own) = (self.clone(), key.clone());
        let asked = async move {
            let result = tokio::spawn(work).await.unwrap_or_else(|e| Err(Error::Background(e)));
            flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&own);
            result.map_err(AppError::from)
        };
        let asked = asked.boxed().shared();
        under_way.insert(key.clone(), asked.clone());
        tokio::spawn(asked.clone());
        asked
    }
}
