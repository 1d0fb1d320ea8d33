<?php
// A script as on any web server: what it prints is the answer, and every request begins anew.
header('Content-Type: text/html; charset=utf-8');
?>
<h1>Hello, <?= htmlspecialchars($_GET['name'] ?? 'world') ?></h1>
<p><?= htmlspecialchars("$_SERVER[REQUEST_METHOD] $_SERVER[REQUEST_URI]") ?></p>
