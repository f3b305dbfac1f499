//! Samara as its users meet it: the program that was built, on real input.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod answers;
mod backends;
mod beside;
mod documents;
mod edge;
mod embed_text;
mod examples;
mod guide;
mod image_crash;
mod image_faults;
mod image_trust;
mod images;
mod k8s;
mod labels;
mod languages;
mod programs;
mod projects;
mod serving;
mod serving_life;
mod serving_refusals;
mod sharing;
mod standalone;
mod support;
mod sweep;
mod ten_models;
