export * from '@redis/client';
