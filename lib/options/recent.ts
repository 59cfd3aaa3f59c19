/** How many objects are looked at: enough for the kinds of connections that one process creates in turn. */
const MOST = 8;

/**
 * The objects of one kind that were used last, so that what is equal can be shared. It does not keep them in memory: they
 * may hold functions and signals of the application.
 */
export class Recent<Item extends object> {
  /** The latest first. */
  readonly #items: WeakRef<Item>[] = [];

  /** The latest item for which `isSought` returns true. */
  find(isSought: (item: Item) => boolean): Item | undefined {
    for (const [index, reference] of this.#items.entries()) {
      const item = reference.deref();
      if (item === undefined || !isSought(item)) continue;
      if (index > 0) this.#items.unshift(...this.#items.splice(index, 1));
      return item;
    }
    return undefined;
  }

  add(item: Item): Item {
    if (this.#items.unshift(new WeakRef(item)) > MOST) this.#items.pop();
    return item;
  }
}
