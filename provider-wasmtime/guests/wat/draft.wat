(module
  ;;+ imports
  (import "KEYVALUE/store@VERSION" "[method]bucket.set" (func $set (param i32 i32 i32 i32 i32 i32)))
  (import "KEYVALUE/store@VERSION" "[method]bucket.list-keys" (func $list_keys (param i32 i32 i64 i32)))
  ;;+ memory
  ;;+ common
  ;;+ drafts
  (func $found)
  (func (export "OPS#increment") (param i32 i32 i32 i32 i64) (result i32) (local $b i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $increment (local.get $b) (local.get 2) (local.get 3) (local.get 4) (global.get $RET))
      (if (i32.load8_u (global.get $RET))
        (then (call $text (i32.const 8)))
        (else (call $say (i32.const 4) (call $decimal (i64.load offset=8 (global.get $RET))))))
      (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#increment" (func $done))

  ;; Cursors are numbers below and text above.
  (func $number (param $at i32) (param $len i32) (result i64) (local $n i64)
    (block $end (loop $again
      (br_if $end (i32.eqz (local.get $len)))
      (local.set $n (i64.add (i64.mul (local.get $n) (i64.const 10))
        (i64.sub (i64.load8_u (local.get $at)) (i64.const 48))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $len (i32.sub (local.get $len) (i32.const 1)))
      (br $again)))
    (local.get $n))
  (func (export "OPS#list-keys") (param i32 i32 i32 i32 i32) (result i32) (local $b i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $list_keys (local.get $b) (local.get 2)
        (call $number (local.get 3) (local.get 4)) (global.get $RET))
      (if (i32.load8_u (global.get $RET))
        (then (call $text (i32.const 8)))
        (else
          (i64.store offset=4 (global.get $RET) (i64.load offset=8 (global.get $RET)))
          (i32.store8 offset=12 (global.get $RET) (i32.load8_u offset=16 (global.get $RET)))
          (call $say (i32.const 16) (call $decimal (i64.load offset=24 (global.get $RET))))))
      (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#list-keys" (func $done))
)
