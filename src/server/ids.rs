//! Ids of our rows: the 32 hex digits of a UUIDv7, so that they sort by the time they were made.

/// A new id. Each is greater than those that this process made before, also within one millisecond.
pub fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let ids: Vec<_> = std::iter::repeat_with(super::new_id).take(10_000).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))));
    }
}
