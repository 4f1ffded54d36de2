for (const film of document.querySelectorAll(".film")) {
  const video = film.querySelector("video");
  const timeline = film.querySelector(".timeline");
  const head = film.querySelector(".playhead");
  const length = Number(timeline.dataset.duration);
  const show = () => {
    head.style.left = `${(100 * Math.min(video.currentTime, length)) / length}%`;
    head.style.opacity = video.currentTime > 0 ? 1 : 0;
    if (!video.paused) requestAnimationFrame(show);
  };
  for (const event of ["play", "seeked", "timeupdate"]) video.addEventListener(event, show);
  timeline.addEventListener("click", (event) => {
    const box = timeline.getBoundingClientRect();
    video.currentTime = (length * (event.clientX - box.left)) / box.width;
  });
}
