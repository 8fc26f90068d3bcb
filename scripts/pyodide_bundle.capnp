# The part of workerd's bundle format (workerd/jsg/modules.capnp there) that is used here.
@0xd9c2a8f4b1e63075;

struct Bundle {
  modules @0 :List(Module);
}

struct Module {
  name @0 :Text;
  union {
    src @1 :Data;
    wasm @4 :Data;
    data @5 :Data;
    json @6 :Text;
  }
  type @2 :ModuleType;
  tsDeclaration @3 :Text;
  compileCache @7 :Data;
}

enum ModuleType {
  bundle @0;
  builtin @1;
  internal @2;
}
