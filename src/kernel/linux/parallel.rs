//! The same work for several items, on all cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `work` for each item and gives the results in the items' order, or the first refusal in that
/// order: items are begun in turn, and what is begun is finished, so it does not depend on which
/// thread is faster. After a refusal nothing more is begun. `progress` hears how many are done, on the
/// calling thread, each time that it has finished one itself.
pub(super) fn for_each<'i, I: Sync, T: Send, E: Send>(
    items: &'i [I],
    work: impl Fn(&'i I) -> Result<T, E> + Sync,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<T>, E> {
    if items.len() < 2 {
        return items.iter().map(work).inspect(|_| progress(1)).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let worker = |progress: &mut dyn FnMut(usize)| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            let answer = work(item);
            if answer.is_err() {
                next.store(items.len(), Ordering::Relaxed);
            }
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((index, answer));
            let count = done.len();
            drop(done);
            progress(count);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 1..cores.min(items.len()) {
            scope.spawn(|| worker(&mut |_| ()));
        }
        worker(progress);
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_are_in_order() {
        let items: Vec<usize> = (0..100).collect();
        let doubled = for_each(&items, |item| Ok::<_, ()>(item * 2), &mut |_| ());
        assert_eq!(doubled, Ok(items.iter().map(|item| item * 2).collect()));
    }

    #[test]
    fn of_several_refusals_the_first_is_told() {
        for first in (0..60).cycle().take(600) {
            let items: Vec<usize> = (0..60).collect();
            let work = |item: &usize| if *item < first { Ok(()) } else { Err(*item) };
            let refused = for_each(&items, work, &mut |_| ());
            assert_eq!(refused, Err(first));
        }
    }

    #[test]
    fn two_are_done_at_a_time() {
        if thread::available_parallelism().map_or(1, usize::from) < 2 {
            return;
        }
        // Each waits for the other, so that one after the other they would never be done.
        let barrier = Barrier::new(2);
        let work = |()| {
            barrier.wait();
            Ok::<_, ()>(())
        };
        let met = for_each(&[(), ()], |&()| work(()), &mut |_| ());
        assert_eq!(met, Ok(vec![(), ()]));
    }

    #[test]
    fn how_many_are_done_is_told_as_they_grow() {
        for count in [0_usize, 1, 2, 100] {
            let mut heard = vec![0];
            let items: Vec<usize> = (0..count).collect();
            let done = for_each(&items, |item| Ok::<_, ()>(*item), &mut |done| heard.push(done));
            assert_eq!(done.map(|done| done.len()), Ok(count));
            assert!(heard.is_sorted_by(|before, after| before < after), "{heard:?}");
            assert!(heard.iter().all(|done| *done <= count), "{heard:?}");
        }
    }
}
