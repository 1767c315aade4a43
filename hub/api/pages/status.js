const health = await fetch("/health");
document.getElementById("health").textContent = health.ok ? "همه‌چیز کار می‌کند" : "چیزی درست کار نمی‌کند";
