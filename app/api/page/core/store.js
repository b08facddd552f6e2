// A value that components follow.

import { useEffect, useState } from "../vendor/htm-preact.js";

export class Store {
  constructor(value) {
    this.value = value;
    this.followers = new Set();
  }

  set(changes) {
    this.value = { ...this.value, ...changes };
    for (const follower of [...this.followers]) follower(this.value);
  }

  follow(follower) {
    this.followers.add(follower);
    return () => this.followers.delete(follower);
  }
}

export function useStore(store) {
  const [value, setValue] = useState(store.value);
  useEffect(() => {
    setValue(store.value);
    return store.follow(setValue);
  }, [store]);
  return value;
}
