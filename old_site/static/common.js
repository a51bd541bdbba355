// 2012.03 박과장
function chkSearch(f) {
  if (f.q.value == '') { alert('검색어를 입력해 주세요.'); f.q.focus(); return false; }
  return true;
}
function chkLogin(f) {
  if (f.userid.value == '') { alert('이메일을 입력해 주세요.'); f.userid.focus(); return false; }
  if (f.passwd.value == '') { alert('비밀번호를 입력해 주세요.'); f.passwd.focus(); return false; }
  return true;
}
function chkJoin(f) {
  if (f.userid.value == '' || f.passwd.value == '' || f.name.value == '') { alert('빈칸을 모두 입력해 주세요.'); return false; }
  if (!f.agree.checked) { alert('이용약관에 동의해 주세요.'); return false; }
  return true;
}
function bookmark() {
  if (window.sidebar && window.sidebar.addPanel) { window.sidebar.addPanel(document.title, location.href, ''); }
  else if (window.external && ('AddFavorite' in window.external)) { window.external.AddFavorite(location.href, document.title); }
  else { alert('Ctrl+D 를 눌러 즐겨찾기에 추가해 주세요.'); }
  return false;
}
function getXHR() {
  if (window.XMLHttpRequest) return new XMLHttpRequest();
  return new ActiveXObject('Microsoft.XMLHTTP');
}
function ajax(url, fn) {
  var x = getXHR();
  x.onreadystatechange = function () { if (x.readyState == 4 && x.status == 200) { fn(x.responseText); } };
  x.open('GET', url, true);
  x.send(null);
}
function ajaxCount(id) {
  ajax('/api/count?id=' + id, function (t) {
    var o = JSON.parse(t);
    document.getElementById('cnt').innerHTML = parseInt(o.cnt, 10).toString().replace(/\B(?=(\d{3})+$)/g, ',');
  });
}
function chkId(f) {
  if (f.userid.value == '') { alert('이메일을 입력해 주세요.'); return; }
  ajax('/api/check_id?userid=' + encodeURIComponent(f.userid.value), function (t) {
    document.getElementById('idmsg').innerHTML = (t == 'Y') ? '<font color="blue">사용가능</font>' : '<font color="red">이미 가입된 이메일</font>';
  });
}
function tab(n) {
  for (var i = 1; i <= 3; i++) {
    document.getElementById('t' + i).className = (i == n) ? 'on' : '';
    document.getElementById('c' + i).style.display = (i == n) ? '' : 'none';
  }
}
function toggle(id) {
  var o = document.getElementById(id);
  o.style.display = (o.style.display == 'none') ? '' : 'none';
}
function openLecture(c, l) {
  window.open('/lecture.php?c=' + c + '&l=' + l, 'lecture', 'width=740,height=520,scrollbars=yes,resizable=no');
}
