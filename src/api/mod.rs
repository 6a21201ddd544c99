//! The Kubernetes API. Beside [`controller::watch`](crate::controller::watch), the only code that names its client.
//!
//! - [`client`] makes the few requests of the webhook, each with a limit: get and patch of three objects by name.
//! - [`reader`] reads any object, for the person at the terminal and with that person's rights, and for the audit.
//! - [`counted`] counts what the webhook's requests come to.
//! - [`request`] limits each, and says what went wrong; [`response`] reads what a person is answered.
//! - [`mod@reference`] is one object, as a person names it; [`refusal`] is who refuses a pod.
//!
//! Rights of the webhook, limited by `resourceNames`: `get`, `watch`, `patch` on one Secret and on one
//! `MutatingWebhookConfiguration`; `create` on the Secret, which an apply needs to bring it back; `create`, `patch` on
//! one `ConfigMap` (a dry run; nothing is stored). And `create` on Events of its own namespace. There is no `list`: a
//! watch from resource version 0 begins with the object as it is. Events on workloads and the audit have further rights, where
//! the chart switches them on, and so has the audit's guard (`docs/adr`, 17 to 19).

pub mod client;
pub mod counted;
pub mod reader;
pub mod reference;
pub mod refusal;
pub mod request;
pub mod response;
