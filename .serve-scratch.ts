import { startApiServer } from './src/engine/apiserver/serve.ts';
import { createLogger } from './src/base/log.ts';
const t=performance.now();
const s=await startApiServer({home:process.argv[2],host:'127.0.0.1',port:0,version:'0.1.0',log:createLogger('debug',l=>process.stderr.write(l))});
console.log(s.url, s.kubeconfig, (performance.now()-t).toFixed(1),'ms', 'since process start', performance.now().toFixed(1), 'rss', (process.memoryUsage().rss/1e6).toFixed(0));
process.on('SIGTERM',async()=>{await s.close();process.exit(0)});
