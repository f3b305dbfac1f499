//! Serves functions: the Open Inference Protocol over REST and gRPC, HTTP
//! functions, metrics and a page for people, on one port.
