/** The fake and its faulty decoration keep every promise of ObjectClient. */
import t from 'tap';
import { FaultyClient } from '../../src/s3/faulty-client.js';
import { MemoryClient } from '../../src/s3/memory-client.js';
import { objectClientConformance } from '../conformance/object-client.js';

await objectClientConformance(t, 'MemoryClient', () => new MemoryClient());
await objectClientConformance(t, 'FaultyClient without rules', () => new FaultyClient(new MemoryClient()));

const likeMinio = () => Object.assign(new MemoryClient(), { listsMetadata: true });
await objectClientConformance(t, 'MemoryClient like MinIO', likeMinio, { listsMetadata: true });
