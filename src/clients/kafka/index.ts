export * from '@platformatic/kafka';
