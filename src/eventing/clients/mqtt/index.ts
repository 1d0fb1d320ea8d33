export * from 'mqtt';
