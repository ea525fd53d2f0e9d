/**
 * Contents whose file somebody reads past the store (the kernel). Such a file is the cache's until its borrower takes it out
 * to change it: then it belongs to the borrower alone, who may give it back as the content of another version.
 *
 * Invariant: a lent content is pinned by its borrower, and the store does not write to it.
 */
import type { BlockFiles } from './block-files.js';
import type { Source } from './cached-file.js';
import type { Content } from './content.js';

export interface LendingOptions {
  readonly files: BlockFiles;
  /** Nothing leads to the content any more; its file stays. */
  readonly forget: (content: Content) => void;
  /** Makes a file, all of it, the content of a version. */
  readonly adopt: (path: string, as: Source, size: number) => Promise<void>;
  /** Takes note of work that the store's end waits for. It does not reject. */
  readonly behind: (work: Promise<void>) => void;
}

export class Lending {
  readonly #options: LendingOptions;

  constructor(options: LendingOptions) {
    this.#options = options;
  }

  /**
   * The descriptor of a content that is whole and checked; undefined where it is not, or has been lent. It stays open while
   * the content is pinned.
   */
  lend(content: Content): number | undefined {
    if (content.isLent || content.evicted || !content.isSound) return undefined;
    try {
      const fd = this.#options.files.descriptor(content);
      content.isLent = fd !== undefined;
      return fd;
    } catch {
      // Who reads it through the store is told what is wrong with it.
      return undefined;
    }
  }

  /** The borrower is about to change the file: nothing of it is cached from now on. */
  takeOut(content: Content): void {
    this.#options.forget(content);
  }

  /** @param as what the file has become, if it was taken out and is as good as cached; otherwise it goes */
  giveBack(content: Content, as?: Source & { readonly size: number }): void {
    content.isLent = false;
    if (content.evicted) this.#options.behind(this.#end(content, as));
  }

  async #end(content: Content, as: (Source & { readonly size: number }) | undefined): Promise<void> {
    const { files, adopt } = this.#options;
    try {
      if (as !== undefined) await adopt(files.path(content.id), as, as.size);
    } catch {
      // The cache was removed, or is closed: it is fetched again.
    }
    await files.remove(content.id).catch(() => undefined);
  }
}
