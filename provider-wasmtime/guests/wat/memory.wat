  ;; What every guest stands on. Every export answers at $RET, in the shape of the import that it calls: the answers of OPS
  ;; have the same layout in memory but for their errors, which are text. Below 1024 are constants and answers; from there, 32 bytes
  ;; for each case of the interface's error, the length of its name and the name; the one that brings its own text has none.
  (memory (export "memory") 2)
  ;;+ errors
  (global $RET i32 (i32.const 128))
  ;; A heap that only grows: what is below 4096 is ours, and each export that is done gives all of it back.
  (global $heap (mut i32) (i32.const 4096))
  (func $realloc (export "cabi_realloc")
      (param $old i32) (param $before i32) (param $align i32) (param $len i32) (result i32)
    (local $at i32) (local $end i32) (local $size i32)
    (local.set $at (i32.and
      (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (local.set $end (i32.add (local.get $at) (local.get $len)))
    (local.set $size (i32.shl (memory.size) (i32.const 16)))
    (if (i32.gt_u (local.get $end) (local.get $size)) (then
      (if (i32.eq (i32.const -1) (memory.grow (i32.add (i32.const 1)
            (i32.shr_u (i32.sub (local.get $end) (local.get $size)) (i32.const 16)))))
        (then unreachable))))
    (global.set $heap (local.get $end))
    (memory.copy (local.get $at) (local.get $old) (local.get $before))
    (local.get $at))
  (func $done (param i32) (global.set $heap (i32.const 4096)))

  ;; Makes the error at $RET + $off a text, where the answer is one.
  (func $text (param $off i32)
    (local $error i32) (local $case i32)
    (if (i32.eqz (i32.load8_u (global.get $RET))) (then return))
    (local.set $error (i32.add (global.get $RET) (local.get $off)))
    (local.set $case (i32.add (i32.const 1024) (i32.shl (i32.load8_u (local.get $error)) (i32.const 5))))
    (if (i32.load8_u (local.get $case))
      (then
        (i32.store offset=4 (global.get $RET) (i32.add (local.get $case) (i32.const 1)))
        (i32.store offset=8 (global.get $RET) (i32.load8_u (local.get $case))))
      (else (i64.store offset=4 (global.get $RET) (i64.load offset=4 (local.get $error))))))
