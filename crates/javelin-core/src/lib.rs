//! What Javelin does to pods, as values in and values out: no I/O, no clock, nothing async, and nothing in the tree that could.
//!
//! | module | what it answers |
//! |---|---|
//! | [`mutate`] | what is to be done with this pod? A value in, a [`mutate::Decision`] out |
//! | [`patch`] | how does a decision become a JSON Patch that surely applies? |
//! | [`review`] | how does the API server ask, and what is it told? |
//! | [`workload`] | what does the label on a Deployment do? |
//! | [`guard`] | what does the label mean where the agent was taken back? |
//! | [`kinds`] | which objects have pods in them, and what differs from one kind to another? |
//! | [`policy`] | how does the API server do the same by itself, with no webhook? |
//! | [`config`] | what does the configuration file mean? |
//! | [`quantity`] | how much is `128Mi`? |
//! | [`dns`], [`spelling`] | is it a DNS label, and which word was probably meant? |

use javelin_steps as steps;

pub mod config;
pub mod dns;
pub mod guard;
pub mod kinds;
pub mod mutate;
pub mod patch;
pub mod policy;
pub mod quantity;
pub mod review;
pub mod spelling;
pub mod workload;
