use std::ops::Index;
use std::sync::Arc;

/// Elements that are copied together when one of them changes while a copy of the list is about.
const CHUNK: usize = 64;

/// A list that grows at its end and never moves what it holds. Copies share every chunk that neither has changed since: a
/// copy of a hundred thousand holds takes microseconds, and what it shows stays as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedList<T> {
    /// All full but the last.
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T: Clone> SharedList<T> {
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    pub fn last(&self) -> Option<&T> {
        self.chunks.last()?.last()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    pub fn push(&mut self, element: T) {
        if self.len.is_multiple_of(CHUNK) {
            // A short list takes no more room than it must.
            let room = if self.len == 0 { 0 } else { CHUNK };
            self.chunks.push(Arc::new(Vec::with_capacity(room)));
        }
        if let Some(last) = self.chunks.last_mut() {
            Arc::make_mut(last).push(element);
            self.len += 1;
        }
    }

    /// An element to be changed.
    ///
    /// # Panics
    /// When there is none at the index.
    pub fn amend(&mut self, index: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[index / CHUNK])[index % CHUNK]
    }

    /// How many bytes it owns; what its elements own is not counted.
    pub fn heap_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| size_of_val(chunk.as_ref()) + chunk.capacity() * size_of::<T>());
        self.chunks.capacity() * size_of::<Arc<Vec<T>>>() + chunks.sum::<usize>()
    }
}

impl<T: Clone> Index<usize> for SharedList<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.chunks[index / CHUNK][index % CHUNK]
    }
}

impl<T: Clone> FromIterator<T> for SharedList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut list = Self::new();
        elements.into_iter().for_each(|element| list.push(element));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut list: SharedList<i32> = (0..200).collect();
        let copy = list.clone();
        *list.amend(0) = 1_000;
        *list.amend(199) = 1_199;
        list.push(200);

        assert_eq!(copy.iter().copied().collect::<Vec<_>>(), (0..200).collect::<Vec<_>>());
        assert_eq!((list[0], list[1], list[199], list[200], list.len()), (1_000, 1, 1_199, 200, 201));
    }

    #[test]
    fn a_copy_shares_what_is_unchanged() {
        let mut list: SharedList<i32> = (0..200).collect();
        let copy = list.clone();
        *list.amend(0) = 1_000;
        let shared = list.chunks.iter().zip(&copy.chunks).filter(|(one, other)| Arc::ptr_eq(one, other)).count();

        assert_eq!(shared, list.chunks.len() - 1);
    }

    #[test]
    fn it_is_read_as_a_list() {
        let list: SharedList<i32> = SharedList::new();
        assert_eq!((list.len(), list.last(), list.get(0)), (0, None, None));
        let list: SharedList<i32> = (0..65).collect();
        assert_eq!((list.len(), list.last(), list.get(64), list.get(65)), (65, Some(&64), Some(&64), None));
    }
}
