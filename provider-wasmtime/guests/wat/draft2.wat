(module
  ;;+ imports
  (import "KEYVALUE/store@VERSION" "[method]bucket.set" (func $set (param i32 i32 i32 i32 i32 i32)))
  (import "KEYVALUE/store@VERSION" "[method]bucket.list-keys" (func $list_keys (param i32 i32 i32 i32 i32)))
  (import "KEYVALUE/atomics@VERSION" "[static]cas.new" (func $cas (param i32 i32 i32 i32)))
  (import "KEYVALUE/atomics@VERSION" "[method]cas.current" (func $current (param i32 i32)))
  (import "KEYVALUE/atomics@VERSION" "[resource-drop]cas" (func $drop_cas (param i32)))
  (import "KEYVALUE/atomics@VERSION" "swap" (func $swap (param i32 i32 i32 i32)))
  ;;+ memory
  ;;+ common
  ;;+ drafts
  ;;+ found
  (data (i32.const 64) "the swap did not notice")
  (data (i32.const 96) "the fresh one failed too")
  (func (export "OPS#increment") (param i32 i32 i32 i32 i64) (result i32)
      (local $b i32) (local $at i32) (local $n i64)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $increment (local.get $b) (local.get 2) (local.get 3) (local.get 4) (global.get $RET))
      (if (i32.load8_u (global.get $RET))
        (then (call $text (i32.const 8)))
        (else
          (local.set $n (i64.load offset=8 (global.get $RET)))
          (if (i64.lt_s (local.get $n) (i64.const 0))
            (then
              (local.set $at (i32.sub
                (call $decimal (i64.sub (i64.const 0) (local.get $n))) (i32.const 1)))
              (i32.store8 (local.get $at) (i32.const 45)))
            (else (local.set $at (call $decimal (local.get $n)))))
          (call $say (i32.const 4) (local.get $at))))
      (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#increment" (func $done))
  (func (export "OPS#list-keys") (param i32 i32 i32 i32 i32) (result i32) (local $b i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $list_keys (local.get $b) (local.get 2) (local.get 3) (local.get 4) (global.get $RET))
      (call $text (i32.const 4)) (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#list-keys" (func $done))

  (func $fail (param $at i32) (param $len i32) (result i32)
    (i32.store8 (global.get $RET) (i32.const 1))
    (i32.store offset=4 (global.get $RET) (local.get $at))
    (i32.store offset=8 (global.get $RET) (local.get $len))
    (global.get $RET))
  ;; Bucket, key, what somebody else writes, what is swapped. What goes wrong leaves handles behind: the test has failed then.
  (func (export "guest:ops/cas-ops#race")
      (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (local $b i32) (local $cas i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.lt_s (local.get $b) (i32.const 0)) (then (return (global.get $RET))))
    (call $cas (local.get $b) (local.get 2) (local.get 3) (global.get $RET))
    (call $text (i32.const 4))
    (if (i32.load8_u (global.get $RET)) (then (return (global.get $RET))))
    (local.set $cas (i32.load offset=4 (global.get $RET)))
    (call $set (local.get $b) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (global.get $RET))
    (call $text (i32.const 4))
    (if (i32.load8_u (global.get $RET)) (then (return (global.get $RET))))
    (call $drop (local.get $b))
    (call $swap (local.get $cas) (local.get 6) (local.get 7) (global.get $RET))
    (if (i32.eqz (i32.load8_u (global.get $RET)))
      (then (return (call $fail (i32.const 64) (i32.const 23)))))
    ;; The error of a swap: 0 is one of the store, at 8; 1 is the fresh handle.
    (if (i32.eqz (i32.load8_u offset=4 (global.get $RET)))
      (then (call $text (i32.const 8)) (return (global.get $RET))))
    (local.set $cas (i32.load offset=8 (global.get $RET)))
    (call $current (local.get $cas) (global.get $RET))
    (call $text (i32.const 4))
    (if (i32.load8_u (global.get $RET)) (then (return (global.get $RET))))
    ;; What was found is answered: the second swap's own answer goes elsewhere.
    (call $swap (local.get $cas) (local.get 6) (local.get 7) (i32.const 192))
    (if (i32.load8_u (i32.const 192)) (then (return (call $fail (i32.const 96) (i32.const 24)))))
    (global.get $RET))
  (export "cabi_post_guest:ops/cas-ops#race" (func $done))
)
