  ;; What all drafts have in common beyond.
  (func $put (param i32 i32 i32 i32 i32)
    (call $set (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (global.get $RET)))
  (func (export "OPS#set") (param i32 i32 i32 i32 i32 i32) (result i32) (local $b i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (call $set (local.get $b) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (global.get $RET))
      (call $text (i32.const 4)) (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#set" (func $done))
  (func (export "OPS#spin") (param i32 i32 i32 i32 i32) (result i32) (local $b i32) (local $heap i32)
    (local.set $b (call $bucket (local.get 0) (local.get 1)))
    (local.set $heap (global.get $heap))
    (if (i32.ge_s (local.get $b) (i32.const 0)) (then
      (block $end (loop $again
        (br_if $end (i32.eqz (local.get 4)))
        (call $get (local.get $b) (local.get 2) (local.get 3) (global.get $RET))
        (br_if $end (i32.load8_u (global.get $RET)))
        (global.set $heap (local.get $heap))
        (local.set 4 (i32.sub (local.get 4) (i32.const 1)))
        (br $again)))
      (call $text (i32.const 4)) (call $drop (local.get $b))))
    (global.get $RET))
  (export "cabi_post_OPS#spin" (func $done))

  ;; A number as decimal text: answers where it begins; it ends at 4096, just below the heap.
  (func $decimal (param $n i64) (result i32) (local $at i32)
    (local.set $at (i32.const 4096))
    (loop $again
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at) (i32.add (i32.const 48)
        (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
      (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
      (br_if $again (i64.ne (local.get $n) (i64.const 0))))
    (local.get $at))
  ;; Makes the text from $at to 4096 what is answered at $RET + $off.
  (func $say (param $off i32) (param $at i32)
    (i32.store (i32.add (global.get $RET) (local.get $off)) (local.get $at))
    (i32.store offset=4 (i32.add (global.get $RET) (local.get $off))
      (i32.sub (i32.const 4096) (local.get $at))))
