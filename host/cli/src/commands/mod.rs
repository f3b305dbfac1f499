//! One file per command.

pub(crate) mod backends;
pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod bundle;
pub(crate) mod compile;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod images;
pub(crate) mod inspect;
pub(crate) mod k8s;
pub(crate) mod load;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod new;
pub(crate) mod pack;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rm;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod save;
pub(crate) mod serve;
pub(crate) mod sign;
pub(crate) mod store;
pub(crate) mod test;
pub(crate) mod verify;
