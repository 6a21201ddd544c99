//! What Javelin does to pods, as values in and values out.

use javelin_steps as steps;

pub mod config;
pub mod dns;
pub mod kinds;
pub mod mutate;
pub mod patch;
pub mod policy;
pub mod quantity;
pub mod review;
pub mod spelling;
pub mod workload;
