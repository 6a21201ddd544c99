//! The cluster, as far as Javelin needs it: the only Kubernetes client code.
//!
//! ```text
//! client   the requests that are made, each with a limit     get, patch of three named objects
//! objects  single objects and dry runs, for a person
//! watch    "something has changed", for one named object
//! pace     how long to wait before doing the same again
//! coverage does every profile have a webhook entry?
//! events   what happened, for people: log, Event, counter
//! keeper   the loop: read, ask certs::state, act, read again
//! probe    does the API server reach us, and if not, why?
//! advice   what to do about it, on this platform
//! reader   any object, for the person at the terminal
//! survey   all that `javelin check` looks at
//! census   all that `javelin status` looks at, and restarts
//! ```
//!
//! Rights needed, limited by `resourceNames`: `get`, `watch`, `patch` on one Secret and on one
//! `MutatingWebhookConfiguration`; `create` on the Secret, which an apply needs to bring it back; `create`, `patch` on
//! one `ConfigMap` (a dry run; nothing is stored). And `create` on Events of our own namespace. There is no `list`: a
//! watch from resource version 0 begins with the object as it is. (`javelin cert`, `check`, `status` and `restart` ask for
//! more, with the rights of the person who runs them: [`reader`], [`survey`], [`census`].)
//!
//! Invariants: no leader. Every write is a compare-and-swap on the resource version, and every replica computes
//! the same content from the same Secret, so that two of them cannot fight.
//!
//! Deliberately not here: objects of anybody else, and decisions about certificates
//! ([`certs::state`](crate::certs::state)).

pub mod advice;
pub mod census;
pub mod client;
pub mod coverage;
pub mod events;
pub mod keeper;
pub mod objects;
pub mod pace;
pub mod probe;
pub mod reader;
pub mod survey;
pub mod watch;
