  ;; What a labelled guest does with a bucket, which is of the interface HOME.
  (import "HOME" "[resource-drop]bucket" (func $HOME.drop (param i32)))
  (import "HOME" "[method]bucket.get" (func $HOME.get (param i32 i32 i32 i32)))
  (import "HOME" "[method]bucket.set" (func $HOME.set (param i32 i32 i32 i32 i32 OPTION-TYPES i32)))
