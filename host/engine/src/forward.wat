;; The core module of a function that is its model: `describe` returns a
;; signature that lies ready in memory, `infer` hands its tensors to
;; `wasi:nn` and hands back what comes. Memory below `heap` holds what the host
;; wrote when it generated the component: see forward.rs for its layout.
(module
  (import "wasi:nn/graph@0.2.0-rc-2024-10-28" "load-by-name"
    (func $load-by-name (param i32 i32 i32)))
  (import "wasi:nn/graph@0.2.0-rc-2024-10-28" "[method]graph.init-execution-context"
    (func $init-execution-context (param i32 i32)))
  (import "wasi:nn/graph@0.2.0-rc-2024-10-28" "[resource-drop]graph"
    (func $drop-graph (param i32)))
  (import "wasi:nn/inference@0.2.0-rc-2024-10-28" "[method]graph-execution-context.compute"
    (func $compute (param i32 i32 i32 i32)))
  (import "wasi:nn/errors@0.2.0-rc-2024-10-28" "[method]error.code"
    (func $error-code (param i32) (result i32)))
  (import "wasi:nn/errors@0.2.0-rc-2024-10-28" "[method]error.data"
    (func $error-data (param i32 i32)))
  (import "wasi:nn/errors@0.2.0-rc-2024-10-28" "[resource-drop]error"
    (func $drop-error (param i32)))

  (memory (export "memory") 1)

  ;; The execution context, made at the first call; 0 before.
  (global $context (mut i32) (i32.const 0))
  ;; Where the next allocation goes; each call begins at HEAP again.
  (global $next (mut i32) (i32.const {HEAP}))

  (func (export "samara:function/function@0.1.0#describe") (result i32)
    (i32.const {SIGNATURE}))

  (func (export "samara:function/function@0.1.0#infer") (param $inputs i32) (param $count i32) (result i32)
    (local $error i32)
    (if (i32.eqz (global.get $context))
      (then
        (local.set $error (call $open))
        (if (local.get $error) (then (return (call $refuse (local.get $error)))))))
    (call $compute (global.get $context) (local.get $inputs) (local.get $count) (i32.const {ANSWER}))
    ;; An answer has the layout of infer's result; an error has not.
    (if (i32.load8_u (i32.const {ANSWER}))
      (then (return (call $refuse (i32.load offset=4 (i32.const {ANSWER}))))))
    (i32.const {ANSWER}))

  (func (export "cabi_post_samara:function/function@0.1.0#infer") (param i32)
    (global.set $next (i32.const {HEAP})))

  (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    (local $start i32) (local $end i32) (local $capacity i32)
    (local.set $start
      (i32.and
        (i32.sub (i32.add (global.get $next) (local.get $align)) (i32.const 1))
        (i32.sub (i32.const 0) (local.get $align))))
    (local.set $end (i32.add (local.get $start) (local.get $size)))
    (if (i32.lt_u (local.get $end) (local.get $start)) (then (unreachable)))
    (local.set $capacity (i32.shl (memory.size) (i32.const 16)))
    (if (i32.gt_u (local.get $end) (local.get $capacity))
      (then
        (if (i32.eq
              (memory.grow
                (i32.add
                  (i32.shr_u (i32.sub (local.get $end) (local.get $capacity)) (i32.const 16))
                  (i32.const 1)))
              (i32.const -1))
          (then (unreachable)))))
    (if (local.get $old-size)
      (then (memory.copy (local.get $start) (local.get $old) (local.get $old-size))))
    (global.set $next (local.get $end))
    (local.get $start))

  ;; Opens the model; gives an error's handle, or 0.
  (func $open (result i32)
    (local $graph i32)
    (call $load-by-name (i32.const {NAME}) (i32.const {NAME_LENGTH}) (i32.const {SCRATCH}))
    (if (i32.load8_u (i32.const {SCRATCH})) (then (return (i32.load offset=4 (i32.const {SCRATCH})))))
    (local.set $graph (i32.load offset=4 (i32.const {SCRATCH})))
    (call $init-execution-context (local.get $graph) (i32.const {SCRATCH}))
    (call $drop-graph (local.get $graph))
    (if (i32.load8_u (i32.const {SCRATCH})) (then (return (i32.load offset=4 (i32.const {SCRATCH})))))
    (global.set $context (i32.load offset=4 (i32.const {SCRATCH})))
    (i32.const 0))

  ;; Writes infer's error from a wasi:nn error.
  (func $refuse (param $error i32) (result i32)
    (i32.store8 (i32.const {ANSWER}) (i32.const 1))
    (i32.store8 offset=4 (i32.const {ANSWER})
      (i32.load8_u offset={KINDS} (call $error-code (local.get $error))))
    (call $error-data (local.get $error) (i32.const {SCRATCH}))
    (i64.store offset=8 align=4 (i32.const {ANSWER}) (i64.load align=4 (i32.const {SCRATCH})))
    (call $drop-error (local.get $error))
    (i32.const {ANSWER}))

  (data (i32.const 0) "{DATA}")
)
