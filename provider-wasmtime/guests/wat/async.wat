(module
  ;; Asynchronous functions, imported and exported by the synchronous convention, which waits on the host's stack.
  ;;+ imports
  (import "KEYVALUE/types@VERSION" "[method]bucket.set"
    (func $set (param i32 i32 i32 i32 i32 i32 i32 i64 i32 i32)))
  (import "KEYVALUE/types@VERSION" "[method]bucket.list-keys"
    (func $list_keys (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "KEYVALUE/cas@VERSION" "current" (func $current (param i32 i32 i32 i32)))
  (import "KEYVALUE/cas@VERSION" "swap"
    (func $swap (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  ;;+ memory
  ;;+ common
  (func $found)

  (func $put (param i32 i32 i32 i32 i32)
    (call $set (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
      (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0) (global.get $RET)))
  (func (export "OPS#set")
      (param i32 i32 i32 i32 i32 i32 i32 i64 i32) (result i32) (local $b i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $set (local.get $b) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
        (i32.const 1) (local.get 6) (local.get 7) (local.get 8) (global.get $RET))
      (call $text (i32.const 4)) (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#set" (func $done))
  (func (export "OPS#list-keys") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (local $b i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $list_keys (local.get $b) (local.get 2) (local.get 3) (local.get 4)
        (local.get 5) (local.get 6) (local.get 7) (global.get $RET))
      (call $text (i32.const 4)) (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#list-keys" (func $done))
  ;; A sum is aligned, and so the text that is there instead of it.
  (func (export "OPS#increment") (param i32 i32 i32 i32 i64) (result i32) (local $b i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $increment (local.get $b) (local.get 2) (local.get 3) (local.get 4) (global.get $RET))
      (call $text (i32.const 8)) (call $drop (local.get $b))))
    (if (i32.load8_u (global.get $RET))
      (then (i64.store offset=8 (global.get $RET) (i64.load offset=4 (global.get $RET)))))
    (global.get $RET))
  (export "cabi_post_OPS#increment" (func $done))
  (func (export "OPS#current") (param i32 i32 i32 i32) (result i32) (local $b i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $current (local.get $b) (local.get 2) (local.get 3) (global.get $RET))
      (call $text (i32.const 4)) (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#current" (func $done))
  ;; Swapped is laid out as nothing, stale as something, which is nothing or an entry that begins with the value.
  (func (export "OPS#swap")
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (local $b i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $swap (local.get $b) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
        (local.get 6) (local.get 7) (local.get 8) (local.get 9) (local.get 10) (local.get 11)
        (global.get $RET))
      (call $text (i32.const 4)) (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#swap" (func $done))
)
