'use strict';
exports.listener = function listener(req, res) {
  req.resume();
  req.on('end', () => res.end('warm'));
};
exports.handle = async (context, event) => ({ statusCode: 200, body: event, headers: { path: context.url } });
exports.fission = async (context) => ({ status: 200, body: context.request.body });
