//! A queue of jobs for threads, and answers that can be waited for.
//!
//! A small implementation instead of `std::sync::mpsc`, which compiles three kinds of
//! channel for each type: an eighth of what sessions add to `ss`.
//!
//! Invariant: every wait for an answer ends, even if the job was dropped instead of done.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A job for another thread.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// A queue of jobs; it ends when the last handle for adding is dropped.
#[derive(Debug)]
pub(crate) struct Jobs(Arc<Queue>);

/// Takes jobs out of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    ended: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("jobs", &self.jobs.len()).field("ended", &self.ended).finish()
    }
}

/// Makes a queue and its inbox.
pub(crate) fn queue() -> (Jobs, Inbox) {
    let queue = Arc::new(Queue::default());
    (Jobs(Arc::clone(&queue)), Inbox(queue))
}

impl Jobs {
    /// Adds a job.
    pub(crate) fn add(&self, job: Job) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).jobs.push_back(job);
        self.0.changed.notify_one();
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        // Jobs that nobody will do are dropped, which ends the waits for their answers.
        let left = std::mem::take(&mut state.jobs);
        drop(state);
        drop(left);
        self.0.changed.notify_all();
    }
}

impl Inbox {
    /// Waits for the next job; `None` when the queue has ended.
    pub(crate) fn next(&self) -> Option<Job> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.ended {
                return None;
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The receiving end of an answer that will come or be cancelled.
#[derive(Debug)]
pub(crate) struct Answer<T>(Arc<Slot<T>>);

/// The sending end of an answer; dropping it cancels the answer.
#[derive(Debug)]
pub(crate) struct Promise<T>(Arc<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    /// Whether it is settled, and the answer if one was given.
    state: Mutex<(bool, Option<T>)>,
    settled: Condvar,
}

/// Makes an answer and its promise.
pub(crate) fn answer<T>() -> (Promise<T>, Answer<T>) {
    let slot = Arc::new(Slot { state: Mutex::new((false, None)), settled: Condvar::new() });
    (Promise(Arc::clone(&slot)), Answer(slot))
}

impl<T> Promise<T> {
    /// Sends the answer.
    pub(crate) fn keep(self, answer: T) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(answer);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
        self.0.settled.notify_all();
    }
}

impl<T> Answer<T> {
    /// Waits for the answer; `None` if the job was dropped.
    pub(crate) fn wait(self) -> Option<T> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.0 {
            state = self.0.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.1.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn jobs_are_done_in_order_and_each_answer_comes() {
        let (jobs, inbox) = queue();
        let worker = thread::spawn(move || std::iter::from_fn(|| inbox.next()).map(|job| job()).count());
        let done = Arc::new(Mutex::new(Vec::new()));
        let answers: Vec<_> = (0..100)
            .map(|number| {
                let (promise, answer) = answer();
                let done = Arc::clone(&done);
                jobs.add(Box::new(move || {
                    done.lock().expect("nobody panics").push(number);
                    promise.keep(number);
                }));
                answer
            })
            .collect();
        let came: Vec<_> = answers.into_iter().map(Answer::wait).collect();
        assert_eq!(came, (0..100).map(Some).collect::<Vec<_>>());
        drop(jobs);
        assert_eq!(worker.join().expect("it ends with the queue"), 100);
        assert_eq!(*done.lock().expect("nobody panics"), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn who_waits_for_a_job_that_nobody_does_is_told() {
        let (jobs, inbox) = queue();
        let (promise, answer) = answer::<u32>();
        jobs.add(Box::new(move || promise.keep(1)));
        drop(jobs);
        assert_eq!(answer.wait(), None);
        assert!(inbox.next().is_none());
    }
}
